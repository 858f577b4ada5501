package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is one whose code is in the program.
type module struct {
	name    string   // path and version, as in "k8s.io/api v0.37.2"
	dir     string   // where its files are
	folders []string // of those packages that the program contains, and the folders above them up to dir
	ids     []string // SPDX identifiers of its licences; read fills them in
	texts   []string // of its licences and notices; read fills them in
}

// standard names the standard library, which is under a licence like every other module.
const standard = "the Go standard library"

// listed is what `go list -json` tells of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked returns the modules whose packages a program of the module in dir contains, in the order of their names, without that
// module itself. The program is a package as the go command takes it, and env says what it is built for.
func linked(ctx context.Context, dir string, env []string, program string) ([]module, error) {
	goroot, err := goCommand(ctx, dir, nil, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(goroot)), "\n")
	out, err := goCommand(ctx, dir, env, "list", "-deps", "-json=Dir,Standard,Module", program)
	if err != nil {
		return nil, err
	}
	found := map[string]module{standard: {name: standard + " " + version, dir: root, folders: []string{root}}}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading the answer of go list: %w", err)
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		m, ok := found[p.Module.Path]
		if !ok {
			m = module{name: p.Module.Path + " " + p.Module.Version, dir: p.Module.Dir}
		}
		m.add(p.Dir)
		found[p.Module.Path] = m
	}
	if len(found) == 1 {
		return nil, fmt.Errorf("%s contains no other module: that cannot be", program)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b module) int { return strings.Compare(a.name, b.name) }), nil
}

// add notes a package's folder and those above it: code that a module took over from somebody else has its licence beside it.
func (m *module) add(folder string) {
	for !slices.Contains(m.folders, folder) {
		m.folders = append(m.folders, folder)
		if folder == m.dir {
			return
		}
		folder = filepath.Dir(folder)
	}
}

// goCommand runs the go command in a folder, with variables beside its own, and returns what it prints.
func goCommand(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running go %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out.Bytes(), nil
}
