package arrows

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFolders wants exactly the top-level folders of the design, beside hidden
// ones and bin, which the Makefile fills.
func TestFolders(t *testing.T) {
	want := []string{"cmd", "controller", "deploy", "metrics", "policy", "test"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" {
			got = append(got, e.Name())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("top-level folders are %q, want %q", got, want)
	}
}

// TestPackagesExist wants a package in every folder whose arrows are held, so
// that a renamed folder does not escape its rules.
func TestPackagesExist(t *testing.T) {
	all := packages(t)
	for _, path := range []string{"policy", "metrics", "metrics/nvml", "controller", "cmd/gpuscaler", "cmd/nvml-agent"} {
		if _, ok := all[module+"/"+path]; !ok {
			t.Errorf("there is no package %s/%s", module, path)
		}
	}
}

// TestStatic compiles the program and all it depends on without cgo.
func TestStatic(t *testing.T) {
	goCommand(t, "list", "-export", "-f", "{{.Export}}", "./cmd/gpuscaler")
}

// TestAgentWithoutCgo compiles the agent, which needs cgo to be of use, without: the module builds everywhere.
func TestAgentWithoutCgo(t *testing.T) {
	goCommand(t, "list", "-export", "-f", "{{.Export}}", "./cmd/nvml-agent")
}

// TestScratch wants in the program what an image from scratch does not have: time zones and certificates of authorities.
func TestScratch(t *testing.T) {
	deps := packages(t)[module+"/cmd/gpuscaler"].Deps
	for _, needed := range []string{"time/tzdata", "golang.org/x/crypto/x509roots/fallback"} {
		if !slices.Contains(deps, needed) {
			t.Errorf("cmd/gpuscaler does not contain %s", needed)
		}
	}
}

// TestRequirements keeps the program's go.mod lean: what only tests and checks
// need has modules of its own.
func TestRequirements(t *testing.T) {
	var mod struct {
		Require []struct{ Path string }
		Tool    []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatalf("reading the answer of go mod edit: %v", err)
	}
	if len(mod.Require) == 0 {
		t.Error("go.mod requires nothing, so it was not read")
	}
	banned := []string{
		"k8s.io/kubernetes", "k8s.io/apiserver", "go.etcd.io/etcd", "github.com/prometheus/prometheus", "github.com/golangci",
	}
	for _, r := range mod.Require {
		for _, b := range banned {
			if under(r.Path, b) {
				t.Errorf("go.mod requires %s: that belongs into the test module", r.Path)
			}
		}
	}
	for _, tool := range mod.Tool {
		t.Errorf("go.mod has the tool %s: that belongs into test/tools/go.mod", tool.Path)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: `go install` of the program would fail", r.Old.Path)
	}
}

// TestPolicyIsSequential wants no goroutine and no channel in policy: a decision
// is a function of its arguments.
func TestPolicyIsSequential(t *testing.T) {
	files := token.NewFileSet()
	parsed := 0
	err := filepath.WalkDir(filepath.Join(root, "policy"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		parsed++
		for _, found := range concurrency(file) {
			t.Errorf("%s: policy starts no goroutine and uses no channel", files.Position(found))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if parsed == 0 {
		t.Error("policy has no Go files")
	}
}

// concurrency returns the places where a file starts a goroutine or names a
// channel.
func concurrency(file *ast.File) []token.Pos {
	var found []token.Pos
	ast.Inspect(file, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
			found = append(found, n.Pos())
		}
		return true
	})
	return found
}
