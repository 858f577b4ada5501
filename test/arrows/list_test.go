// Package arrows holds the shape of the program's module: which folders there
// are, who imports whom, and what never enters its go.mod.
//
// The module under test lies outside this one, so the test cache does not see
// its changes: run these tests with -count=1, as the Makefile does.
package arrows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/gpuscaler/gpuscaler"
)

// listed is what `go list -json` tells of one package.
type listed struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Error        *struct{ Err string }
}

// area returns the top-level folder of a package of the program's module, and
// "" for every other package.
func area(importPath string) string {
	inside, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	folder, _, _ := strings.Cut(inside, "/")
	return folder
}

// within tells whether a package lies in a folder of the program's module.
func within(importPath, folder string) bool {
	return under(importPath, module+"/"+folder)
}

// under tells whether a package is the one named or below it.
func under(importPath, parent string) bool {
	return importPath == parent || strings.HasPrefix(importPath, parent+"/")
}

// goCommand runs the go command in the program's module, without cgo, and
// returns what it prints.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("running go %s: %v\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out.Bytes()
}

// packages returns the packages of the program's module and all they depend on,
// by import path.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	out := goCommand(t, "list", "-deps",
		"-json=ImportPath,Standard,Imports,TestImports,XTestImports,Deps,Error", "./...")
	found := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatalf("reading the answer of go list: %v", err)
		}
		if p.Error != nil {
			t.Fatalf("listing %s: %s", p.ImportPath, p.Error.Err)
		}
		found[p.ImportPath] = p
	}
}
