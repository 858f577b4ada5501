package main

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var full = flag.Bool("full", false, "compile everything anew for each build, which takes minutes; without, both share a build cache")

// TestReproducible builds the programs as `make release` does in two copies of the source that have nothing in common but their
// contents: one is a git repository, the other is not, and folders, home, time zone and umask differ. All files must be equal.
//
// With a common build cache it proves that nothing of the surroundings gets into a program: a compilation that depended on them
// would not be found there, and be made twice. With -full each build has a cache of its own: then it proves too that compilers
// make the same of the same source.
func TestReproducible(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the Makefile builds nvml-agent on Linux only")
	}
	targets := []string{"bin/dist/gpuscaler_linux_" + runtime.GOARCH}
	if _, err := os.Stat("../../cmd/nvml-agent"); err != nil {
		t.Log("there is no nvml-agent yet")
	} else if _, err := exec.LookPath("gcc"); err == nil {
		targets = append(targets, "bin/dist/nvml-agent_linux_"+runtime.GOARCH)
	} else {
		t.Log("no gcc: nvml-agent is left out")
	}

	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "some", "other", "folder")
	copySource(t, one)
	copySource(t, two)
	git(t, one, "init", "-q")
	git(t, one, "add", ".")
	git(t, one, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "one")

	build(t, one, "022", append(targets, "TZ=UTC"))
	build(t, two, "077", append(targets, "TZ=Asia/Tokyo"))
	compared := 0
	for _, target := range targets {
		compared += compare(t, filepath.Join(one, target), filepath.Join(two, target))
	}
	if want := 3 * len(targets); compared != want {
		t.Errorf("compared %d files, want %d: program, licence and notices of %q", compared, want, targets)
	}
}

// copySource copies the files of the repository into a folder, without what builds have left there.
func copySource(t *testing.T, to string) {
	t.Helper()
	const root = "../.."
	for _, part := range []string{
		"go.mod", "go.sum", "Makefile", "LICENSE", "cmd", "controller", "metrics", "policy", "test/go.mod", "test/go.sum", "test/notices",
	} {
		from := filepath.Join(root, part)
		err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			copied := filepath.Join(to, strings.TrimPrefix(path, root))
			if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
				return err
			}
			return os.WriteFile(copied, text, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// git runs git in a folder.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("running git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// build makes targets of the Makefile in a folder.
func build(t *testing.T, dir, umask string, targets []string) {
	t.Helper()
	args := append([]string{"-c", "umask " + umask + ` && exec make "$@"`, "make", "VERSION=v0.0.0"}, targets...)
	cmd := exec.CommandContext(t.Context(), "bash", args...)
	cmd.Dir = dir
	// The caches are named, because they would be looked for in the other home.
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOCACHE="+goEnv(t, "GOCACHE"),
		"GOFLAGS=", "MAKEFLAGS=", "MAKELEVEL=")
	if *full {
		cmd.Env = append(cmd.Env, "GOCACHE="+t.TempDir())
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building in %s: %v\n%s", dir, err, out)
	}
}

// goEnv returns a setting of the go command.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// compare wants the same files in two folders, equal in contents and rights, and returns how many there are.
func compare(t *testing.T, one, two string) int {
	t.Helper()
	files, err := os.ReadDir(one)
	if err != nil {
		t.Fatal(err)
	}
	others, err := os.ReadDir(two)
	if err != nil {
		t.Fatal(err)
	}
	if len(others) != len(files) {
		t.Errorf("%s has %d files, %s %d", one, len(files), two, len(others))
	}
	for _, f := range files {
		a, modeA := contentsOf(t, filepath.Join(one, f.Name()))
		b, modeB := contentsOf(t, filepath.Join(two, f.Name()))
		if modeA != modeB {
			t.Errorf("%s of %s is %v once and %v once", f.Name(), filepath.Base(one), modeA, modeB)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s of %s differs: %d bytes and %d", f.Name(), filepath.Base(one), len(a), len(b))
		}
	}
	return len(files)
}

// contentsOf returns what is in a file, and its rights.
func contentsOf(t *testing.T, path string) ([]byte, fs.FileMode) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return text, info.Mode()
}
