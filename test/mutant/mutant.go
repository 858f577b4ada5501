// Package mutant builds the program with parts of it taken away, to see that tests notice. All mutations are compiled into one program,
// off until the environment chooses one, by an overlay of go build: no file is changed.
package mutant

import (
	"context"
	"encoding/json"
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Mutation takes a part of the program away.
type Mutation struct {
	// Name tells what the program does wrong then.
	Name string
	// Edits make it so. Where one guard stands behind another, both are to be taken away.
	Edits []Edit
}

// Edit changes one place.
type Edit struct {
	// File, from the root of the repository or in Go's own tree from "GOROOT/", has Old exactly once, and New in its place. In New,
	// `mutant == N` and `mutant != N` stand for the choice of the mutation: what has neither is always so. With an empty Old the
	// file is a new one.
	File, Old, New string
}

// Variable is that of the environment which chooses a mutation by its number, counted from 1.
const Variable = "mutant"

// chooser is a file of each mutated package that reads the choice. mutantJSON is there for mutations that change what is written down.
const chooser = `package %s

import (
	"encoding/json"
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("` + Variable + `"))

func mutantJSON(v any) ([]byte, error) { return json.Marshal(v) }
`

// choice is where an edit asks for its mutation.
var choice = regexp.MustCompile(`\bmutant ([=!])= N\b`)

// Root finds the folder of the repository.
func Root(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gpuscaler/gpuscaler").Output()
	if err != nil {
		return "", fmt.Errorf("finding the root module: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}

// Build compiles the program with all mutations into dir and returns its path.
func Build(ctx context.Context, root, dir string, mutations []Mutation) (string, error) {
	files, err := mutate(root, mutations)
	if err != nil {
		return "", err
	}
	replaced := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range files {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("writing a mutated file: %w", err)
		}
		replaced.Replace[locate(root, name)] = file
	}
	list, err := json.Marshal(replaced)
	if err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	listed, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "gpuscaler")
	if err := os.WriteFile(listed, list, 0o600); err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	compile := exec.CommandContext(ctx, "go", "build", "-overlay", listed, "-ldflags=-s -w", "-o", program, "./cmd/gpuscaler")
	compile.Dir = root
	if output, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the mutated program: %w\n%s", err, output)
	}
	return program, nil
}

// mutate returns those files that the mutations change, with all of them in it, and a chooser beside them.
func mutate(root string, mutations []Mutation) (map[string]string, error) {
	o := overlay{root, map[string]string{}, map[string]string{}}
	for i, m := range mutations {
		for _, e := range m.Edits {
			e.New = choice.ReplaceAllString(e.New, "mutant ${1}= "+strconv.Itoa(i+1))
			if err := o.apply(e); err != nil {
				return nil, fmt.Errorf("mutation %q: %w", m.Name, err)
			}
		}
	}
	return o.files, nil
}

// overlay are the files that are changed, before and after.
type overlay struct {
	root             string
	originals, files map[string]string
}

// apply makes one edit.
func (o *overlay) apply(e Edit) error {
	if e.Old == "" {
		o.files[e.File] = e.New
		return nil
	}
	if _, ok := o.files[e.File]; !ok {
		text, err := os.ReadFile(locate(o.root, e.File))
		if err != nil {
			return err
		}
		o.originals[e.File], o.files[e.File] = string(text), string(text)
	}
	if strings.Contains(e.New, Variable) {
		o.files[path.Dir(e.File)+"/mutant.go"] = fmt.Sprintf(chooser, packageOf(o.originals[e.File]))
	}
	if n := strings.Count(o.originals[e.File], e.Old); n != 1 {
		return fmt.Errorf("%s has %q %d times; it must be there once: bring the mutation up to date", e.File, e.Old, n)
	}
	if strings.Count(o.files[e.File], e.Old) != 1 {
		return fmt.Errorf("another one changes %q in %s too: choose texts that do not overlap", e.Old, e.File)
	}
	o.files[e.File] = strings.Replace(o.files[e.File], e.Old, e.New, 1)
	return nil
}

// locate finds the file of an edit.
func locate(root, name string) string {
	if inGo, ok := strings.CutPrefix(name, "GOROOT/"); ok {
		return filepath.Join(build.Default.GOROOT, inGo)
	}
	return filepath.Join(root, name)
}

// packageOf is the name in a file's package clause.
func packageOf(text string) string {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "package "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}
