package faults

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// guards says that each row is also played without its guard.
var guards = flag.Bool("guards", false, "play each row also with a program that lacks the row's guard, and want it to fail")

var update = flag.Bool("update", false, "write the table of README.md")

// row is one fault.
type row struct {
	// number is the row's in the list of faults; several rows may share one.
	number int
	// fault is what breaks, promise what holds all the same: "nothing is lowered; resumes by itself within 3 ticks".
	fault, promise string
	// guard is what keeps the promise, by the name of what the program does wrong without it. Rows may share one: then it is the same.
	guard *mutant.Mutation
	// play fails if the promise is not kept.
	play func(w *world)
}

// rows is the matrix, and allGuards are what its rows need.
var (
	rows      []row
	allGuards []*mutant.Mutation
)

// init, because some rows ask for the guards of all.
func init() {
	rows = slices.Concat(
		ofPrometheus,
		ofReplies,
		ofSamples,
		ofSecurity,
		ofAPIServer,
		ofWrites,
		ofHands,
		ofTenants,
		ofLaptops,
		ofLeaders,
		ofCrashes,
	)
	for _, r := range rows {
		if !slices.Contains(allGuards, r.guard) {
			allGuards = append(allGuards, r.guard)
		}
	}
}

// world is what a row plays in: a test, and the program that is tried.
type world struct {
	testing.TB
	program string
}

// run runs the program with a kubeconfig until the row ends.
func (w *world) run(kubeconfig string, args ...string) *stage.Process {
	w.Helper()
	return stage.StartProgram(w, w.program, kubeconfig, "--listen", gpuscaler.FreeAddress(w), args...)
}

// runs starts a controller for one namespace under the rights that deploy/ ships, with a tick each second.
func (w *world) runs(namespace, prometheus string, args ...string) *stage.Process {
	w.Helper()
	return w.run(stage.Cluster.Config, append([]string{
		"run", "--interval", "1s", "--watch-namespace", namespace, "--prometheus-url", prometheus, "--leader-elect=false",
	}, args...)...)
}

func TestMain(m *testing.M) { stage.Main(m, 8) }

// name is the row's as a test's.
func (r *row) name() string { return fmt.Sprintf("%02d %s", r.number, r.fault) }

// TestFaults keeps every promise.
func TestFaults(t *testing.T) {
	for i := range rows {
		t.Run(rows[i].name(), func(t *testing.T) {
			t.Parallel()
			rows[i].play(&world{t, stage.Cluster.Program})
		})
	}
}

// rigged is for a fault that happens inside the program: it plays with one that has rig in it.
func rigged(play func(w *world)) func(w *world) {
	return func(w *world) {
		if w.program == stage.Cluster.Program {
			w.program = without(w, nil)
		}
		play(w)
	}
}

// TestGuards takes each row's guard away and wants the row to fail. It says of what: a row that fails for another reason proves nothing.
func TestGuards(t *testing.T) {
	if !*guards {
		t.Skip("with -guards only")
	}
	for _, r := range rows {
		t.Run(r.name(), func(t *testing.T) {
			t.Parallel()
			program := without(t, r.guard)
			failed, said := try(t, func(t testing.TB) { r.play(&world{t, program}) })
			if !failed {
				t.Errorf("nobody notices that %s", r.guard.Name)
			}
			t.Logf("without the guard, %s:\n%s", r.guard.Name, said)
		})
	}
}

// unguarded builds the program with all guards in it that can be taken out.
var unguarded = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := filepath.Join(stage.Cluster.Dir(), "mutant")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	root, err := mutant.Root(ctx)
	if err != nil {
		return "", err
	}
	var list []mutant.Mutation
	for _, g := range allGuards {
		list = append(list, *g)
	}
	return mutant.Build(ctx, root, dir, append(list, rig))
})

// without returns a program that lacks a guard; nil: none.
func without(t testing.TB, guard *mutant.Mutation) string {
	t.Helper()
	program, err := unguarded()
	if err != nil {
		t.Fatal(err)
	}
	return script(t, program, fmt.Sprintf("%s=%d", mutant.Variable, slices.Index(allGuards, guard)+1))
}

// script wraps a program: it runs with a variable set in its environment.
func script(t testing.TB, program, variable string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gpuscaler")
	text := fmt.Sprintf("#!/bin/sh\n%s exec %q \"$@\"\n", variable, program)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return path
}

// TestMatrix wants every fault of the list to have a row, and the table of README.md to be that of the rows.
func TestMatrix(t *testing.T) {
	var lacking []int
	for n := 1; n <= 38; n++ {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.number == n }) {
			lacking = append(lacking, n)
		}
	}
	if len(lacking) > 0 {
		t.Errorf("no row has the numbers %d", lacking)
	}
	names := map[string]bool{}
	for _, g := range allGuards {
		if names[g.Name] {
			t.Errorf("two guards are named %q", g.Name)
		}
		names[g.Name] = true
	}
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(page), begin)
	old, after, found := strings.Cut(rest, end)
	switch {
	case !found:
		t.Fatalf("README.md has no %q and %q for the table", begin, end)
	case *update:
		if err := os.WriteFile("README.md", []byte(before+begin+"\n"+table()+end+after), 0o644); err != nil { //nolint:gosec // a page
			t.Fatal(err)
		}
	case old != "\n"+table():
		t.Error("the table of README.md is not that of the rows: go test ./faults -run Matrix -update")
	}
}

// What the table of README.md is between.
const begin, end = "<!-- rows: made by `go test ./faults -run Matrix -update` -->", "<!-- end of rows -->"

// table is the matrix as README.md has it.
func table() string {
	sorted := slices.SortedStableFunc(slices.Values(rows), func(a, b row) int { return cmp.Compare(a.number, b.number) })
	var text strings.Builder
	text.WriteString("| # | what breaks | what is promised | without its guard |\n|---|---|---|---|\n")
	for _, r := range sorted {
		fmt.Fprintf(&text, "| %d | %s%s | %s | %s |\n", r.number, strings.ToUpper(r.fault[:1]), r.fault[1:], r.promise, r.guard.Name)
	}
	return text.String()
}
