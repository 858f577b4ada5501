// Package image holds the rules of the images: who runs in them, what they are built from, and how `make image` picks a builder.
package image

import (
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile's, such as FROM with its arguments. Lines that are continued are one.
type instruction struct{ name, args string }

// read returns the instructions of a Dockerfile.
func read(t *testing.T, file string) []instruction {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAll(text, nil)
	var all []instruction
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		if name, args, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all = append(all, instruction{name, strings.TrimSpace(args)})
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no instructions", file)
	}
	return all
}

// stages divides a Dockerfile at its FROMs. The first part is what stands before all of them.
func stages(all []instruction) [][]instruction {
	parts := [][]instruction{nil}
	for _, i := range all {
		if i.name == "FROM" {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], i)
	}
	return parts
}

// arg returns the default of a build argument among instructions.
func arg(all []instruction, name string) string {
	for _, i := range all {
		if value, ok := strings.CutPrefix(i.args, name+"="); i.name == "ARG" && ok {
			return value
		}
	}
	return ""
}

func TestDockerfiles(t *testing.T) {
	for _, c := range []struct{ file, base, program string }{
		{"Dockerfile", "scratch", "gpuscaler"},
		{"nvml-agent.Dockerfile", "${BASE}", "nvml-agent"},
	} {
		t.Run(c.file, func(t *testing.T) {
			all := read(t, c.file)
			parts := stages(all)
			last := parts[len(parts)-1]
			if last[0].args != c.base {
				t.Errorf("the image is made from %q, want %q", last[0].args, c.base)
			}
			// What is in an image comes from the stage that `make image` replaces, and nothing is run in it: there is nothing to run.
			allowed := []string{"FROM", "ARG", "LABEL", "ENV", "COPY", "USER", "EXPOSE", "ENTRYPOINT"}
			for _, i := range last {
				if !slices.Contains(allowed, i.name) {
					t.Errorf("%s %s: the last stage has only %q", i.name, i.args, allowed)
				}
			}
			for _, want := range []instruction{
				{"USER", "65532:65532"},
				{"ENTRYPOINT", fmt.Sprintf("[%q]", "/"+c.program)},
				{"COPY", "--from=binaries /" + c.program + "_linux_${TARGETARCH}/ /"},
				{"ARG", "TARGETARCH"},
				{"ARG", "VERSION=dev"},
			} {
				if !slices.Contains(last, want) {
					t.Errorf("the last stage has no %s %s", want.name, want.args)
				}
			}
			if compile := parts[1]; !slices.Contains(compile, instruction{"ARG", "TARGETARCH"}) ||
				!strings.HasPrefix(compile[0].args, "--platform=$BUILDPLATFORM ") {
				t.Errorf("the first stage is to compile for TARGETARCH on BUILDPLATFORM, has %v", compile)
			}
			checkBases(t, parts)
		})
	}
}

// checkBases wants a tag or a digest on every image that is pulled, other than the one that means any.
func checkBases(t *testing.T, parts [][]instruction) {
	t.Helper()
	stage := []string{"scratch"}
	for _, part := range parts[1:] {
		words := strings.Fields(strings.TrimPrefix(part[0].args, "--platform=$BUILDPLATFORM "))
		image := os.Expand(words[0], func(name string) string { return arg(parts[0], name) })
		if len(words) == 3 {
			stage = append(stage, words[2])
		}
		_, tag, _ := strings.Cut(filepath.Base(image), ":")
		if !slices.Contains(stage, image) && (tag == "" || strings.HasPrefix(tag, "latest") || strings.HasPrefix(tag, "-")) {
			t.Errorf("FROM %s: %q has no tag that says which one it is", part[0].args, image)
		}
	}
}

// TestGoVersion wants one Go in both images, and one with which programs and notices can be built.
func TestGoVersion(t *testing.T) {
	used := arg(read(t, "Dockerfile"), "GO_VERSION")
	if other := arg(read(t, "nvml-agent.Dockerfile"), "GO_VERSION"); other != used {
		t.Errorf("GO_VERSION is %q and %q", used, other)
	}
	for _, file := range []string{"../../go.mod", "../../test/go.mod"} {
		mod, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		needed := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
		if needed == nil {
			t.Fatalf("%s tells no version of Go", file)
		}
		if version.Compare("go"+used, "go"+string(needed[1])) < 0 {
			t.Errorf("GO_VERSION is %q, %s needs %s", used, file, needed[1])
		}
	}
}

// A builder that prints what it is called with, one that is not there being left out.
const (
	working  = "#!/bin/sh\necho \"${0##*/} $*\"\n"
	noDaemon = "#!/bin/sh\n[ \"$1\" != info ] || exit 1\n" + working
)

func TestBuilder(t *testing.T) {
	const both = "linux/amd64,linux/arm64"
	for _, c := range []struct {
		name                 string
		builders             map[string]string
		env                  []string
		platforms, want, not string
		fails                bool
	}{
		{
			name: "docker first", builders: map[string]string{"docker": working, "podman": working}, platforms: both,
			want: "docker buildx build --file F --platform " + both + " --build-context binaries=bin/dist --build-arg VERSION=v1 --tag agent:v1 .\n",
		},
		{
			name: "docker without a daemon", builders: map[string]string{"docker": noDaemon, "buildah": working}, platforms: "linux/arm64",
			want: "buildah build --file F --platform linux/arm64 --build-context binaries=bin/dist --build-arg VERSION=v1 --timestamp 7 --tag agent:v1 .\n",
		},
		{
			name: "a list", builders: map[string]string{"podman": working}, platforms: both,
			want: "--timestamp 7 --manifest agent:v1 .\n", not: "--tag",
		},
		{
			name: "chosen", builders: map[string]string{"podman": working, "buildah": working}, env: []string{"BUILDER=buildah"},
			platforms: both, want: "buildah build", not: "podman",
		},
		{
			name: "name and flags", builders: map[string]string{"docker": working}, platforms: both,
			env: []string{"REGISTRY=r.example/ml/", "FLAGS=--push --quiet"}, want: "--tag r.example/ml/agent:v1 --push --quiet .\n",
		},
		{name: "none", platforms: both, want: "found no docker, podman or buildah", fails: true},
		{name: "no daemon", builders: map[string]string{"docker": noDaemon}, platforms: both, want: "docker needs a running daemon", fails: true},
		{
			name: "not the chosen one", builders: map[string]string{"docker": working}, env: []string{"BUILDER=podman"}, platforms: both,
			want: "found no podman,", fails: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := t.TempDir()
			for name, script := range c.builders {
				if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			bash, err := exec.LookPath("bash")
			if err != nil {
				t.Skip("no bash")
			}
			cmd := exec.CommandContext(t.Context(), bash, "build.sh", "agent", "F")
			cmd.Env = append([]string{"PATH=" + bin, "VERSION=v1", "SOURCE_DATE_EPOCH=7", "PLATFORMS=" + c.platforms}, c.env...)
			out, err := cmd.CombinedOutput()
			if (err != nil) != c.fails {
				t.Errorf("got error %v, want one: %t", err, c.fails)
			}
			if got := string(out); !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) {
				t.Errorf("printed\n%s\nwant %q, and not %q", got, c.want, c.not)
			}
		})
	}
}
