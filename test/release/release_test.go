package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script stands for cyclonedx-gomod: it writes what it is called with to the file after -output.
const script = "#!/bin/sh\nall=\"$*\"\nwhile [ \"$1\" != -output ]; do shift; done\necho \"$all\" >\"$2\"\n"

// programs makes folders as bin/dist has them, of files of an age and with rights of their own, and returns their paths.
func programs(t *testing.T, dir string, age time.Duration, mode os.FileMode) []string {
	t.Helper()
	var folders []string
	for folder, program := range map[string]string{
		"gpuscaler_linux_arm64": "gpuscaler", "gpuscaler_windows_amd64": "gpuscaler.exe", "nvml-agent_linux_amd64": "nvml-agent",
	} {
		folder = filepath.Join(dir, "dist", folder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, m := range map[string]os.FileMode{program: mode | 0o100, "LICENSE": mode} {
			file := filepath.Join(folder, name)
			if err := os.WriteFile(file, []byte(name+" of "+filepath.Base(folder)), m); err != nil {
				t.Fatal(err)
			}
			then := time.Now().Add(-age)
			if err := os.Chtimes(file, then, then); err != nil {
				t.Fatal(err)
			}
		}
		folders = append(folders, folder)
	}
	slices.Sort(folders)
	return folders
}

// pack makes a release in a folder and returns its files by name.
func pack(t *testing.T, dir string, age time.Duration, mode os.FileMode) map[string]string {
	t.Helper()
	folders := programs(t, dir, age, mode)
	sbom := filepath.Join(dir, "sbom")
	if err := os.WriteFile(sbom, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for i := range folders {
		folders[i] = strings.TrimPrefix(folders[i], dir+"/")
	}
	args := append([]string{"-version", "v1.2.3", "-to", "out", "-sbom", sbom, "-date", "1700000000"}, folders...)
	if err := run(t.Context(), args); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	entries, err := os.ReadDir("out")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join("out", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

// TestRelease packs three programs, and the same ones once more on another day, by somebody with other habits.
func TestRelease(t *testing.T) {
	files := pack(t, t.TempDir(), time.Hour, 0o644)
	again := pack(t, t.TempDir(), 100*time.Hour, 0o600)

	const sums = "SHA256SUMS"
	listed := map[string]string{}
	for line := range strings.Lines(files[sums]) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		listed[name] = sum
	}
	for name, text := range files {
		if again[name] != text {
			t.Errorf("%s differs when it is made again", name)
		}
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); name != sums && listed[name] != want {
			t.Errorf("the sum of %s is %q, want %s", name, listed[name], want)
		}
	}
	if len(listed) != 6 || len(files) != 7 {
		t.Errorf("got %d sums and %d files, want 6 and 7", len(listed), len(files))
	}

	if got, want := untar(t, files["gpuscaler_v1.2.3_linux_arm64.tar.gz"]), []string{
		"-rw-r--r-- LICENSE: LICENSE of gpuscaler_linux_arm64",
		"-rwxr-xr-x gpuscaler: gpuscaler of gpuscaler_linux_arm64",
		"Lrwxrwxrwx kubectl-gpuscaler: -> gpuscaler",
	}; !slices.Equal(got, want) {
		t.Errorf("the archive has %q, want %q", got, want)
	}
	if got, want := untar(t, files["nvml-agent_v1.2.3_linux_amd64.tar.gz"]), []string{
		"-rw-r--r-- LICENSE: LICENSE of nvml-agent_linux_amd64",
		"-rwxr-xr-x nvml-agent: nvml-agent of nvml-agent_linux_amd64",
	}; !slices.Equal(got, want) {
		t.Errorf("the agent's archive has %q, want %q", got, want)
	}
	if got, want := unzip(t, files["gpuscaler_v1.2.3_windows_amd64.zip"]), []string{
		"-rw-r--r-- LICENSE: LICENSE of gpuscaler_windows_amd64",
		"-rwxr-xr-x gpuscaler.exe: gpuscaler.exe of gpuscaler_windows_amd64",
	}; !slices.Equal(got, want) {
		t.Errorf("the zip archive has %q, want %q", got, want)
	}
	if got := files["gpuscaler_v1.2.3_windows_amd64.cdx.json"]; !strings.Contains(got, "-version v1.2.3 ") ||
		!strings.HasSuffix(got, "dist/gpuscaler_windows_amd64/gpuscaler.exe\n") {
		t.Errorf("the modules of the program for Windows were asked for by %q", got)
	}
}

// untar returns the files of an archive, each with mode and contents or the file that it is another name of.
func untar(t *testing.T, archive string) []string {
	t.Helper()
	uncompressed, err := gzip.NewReader(strings.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for in := tar.NewReader(uncompressed); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if header.Linkname != "" {
			text = []byte("-> " + header.Linkname)
		}
		if header.ModTime.Unix() != 1700000000 {
			t.Errorf("%s is of %v", header.Name, header.ModTime)
		}
		files = append(files, fmt.Sprintf("%v %s: %s", header.FileInfo().Mode(), header.Name, text))
	}
}

// unzip returns the files of a zip archive, as untar does.
func unzip(t *testing.T, archive string) []string {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader([]byte(archive)), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range in.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fmt.Sprintf("%v %s: %s", f.Mode(), f.Name, text))
	}
	return files
}

func TestRefused(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "gpuscaler_linux_amd64")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-version", "v1", "-to", to, "-sbom", "x"}, "usage: release"},
		{[]string{"-version", "v1", "-to", to, "-sbom", "x", "-date", "today", empty}, `-date "today": want seconds`},
		{[]string{"-version", "v1", "-to", to, "-sbom", "x", filepath.Dir(empty)}, "its name is not PROGRAM_OS_ARCH"},
		{[]string{"-version", "v1", "-to", to, "-sbom", "x", empty}, "nothing in it"},
	} {
		if err := run(t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got error %v, want one with %q", c.args, err, c.want)
		}
	}
}

// TestVersion has the Makefile refuse what is no version before anything is built.
func TestVersion(t *testing.T) {
	for version, allowed := range map[string]bool{
		"v1.2.3": true, "v0.10.0-rc.1": true, "1.2.3": false, "v1.2": false, "v1.2.3_linux": false, "f50d7d6-dirty": false, "v1.2.3/..": false,
	} {
		out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "release-version", "VERSION="+version).CombinedOutput()
		if (err == nil) != allowed || !allowed && !strings.Contains(string(out), "VERSION="+version+": a release is named as v1.2.3") {
			t.Errorf("%s: got error %v and\n%s\nwant it allowed: %t", version, err, out, allowed)
		}
	}
}
