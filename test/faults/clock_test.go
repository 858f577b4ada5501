package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gpuscaler/gpuscaler/test/mutant"
)

// clockJumps sets the wall clock of one process an hour forward and back while a scale-down window of 20 s runs.
func clockJumps(w *world) {
	ns, d, l, p := w.scene("clock", "scale-down.stabilization", "20s")
	jump := filepath.Join(w.TempDir(), "jump")
	set := func(hours int) {
		if err := os.WriteFile(jump+".new", []byte(strconv.Itoa(hours*3600)), 0o600); err != nil {
			w.Fatal(err)
		}
		if err := os.Rename(jump+".new", jump); err != nil {
			w.Fatal(err)
		}
	}
	w.program = script(w, w.program, clock+"="+jump)
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	l.SetLoad(20)
	d.WaitReason(program, "ScaleDownStabilized")
	began := time.Now()
	for _, hours := range []int{1, 0, -1} {
		set(hours)
		d.HoldsReplicas(4, 5*time.Second)
		decided, err := program.Workload(ns, d.Name)
		if want := time.Now().Add(time.Duration(hours) * time.Hour); err != nil || decided.Time.Sub(want).Abs() > 5*time.Second {
			w.Fatalf("the clock is set to %s, and the last decision is of %s (%v)", want, decided.Time, err)
		}
	}
	d.WaitReplicas(1, 15*time.Second)
	if took := time.Since(began); took < 18*time.Second {
		w.Errorf("lowered after %s, want a window of 20 s", took)
	}
	set(0)
	l.SetLoad(200)
	d.WaitReplicas(4, 15*time.Second)
}

// clock is the variable of the environment that names the file with the seconds by which a rigged program's wall clock is ahead.
const clock = "clock"

// rig gives the program a wall clock that can be set while it runs, as that of a machine is. The monotonic clock stays what it is.
var rig = mutant.Mutation{Name: "a clock that can be set", Edits: []mutant.Edit{
	{File: "GOROOT/src/time/time.go", Old: "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", New: `// Ahead is by how many seconds the wall clock is ahead.
var Ahead int64

func Now() Time {
	sec, nsec, mono := runtimeNow()
	sec += Ahead
`},
	{File: "cmd/gpuscaler/clock.go", New: fmt.Sprintf(`package main

import (
	"os"
	"strconv"
	"time"
)

func init() {
	path := os.Getenv(%q)
	if path == "" {
		return
	}
	go func() {
		for ; ; time.Sleep(20*time.Millisecond) {
			if text, err := os.ReadFile(path); err == nil {
				time.Ahead, _ = strconv.ParseInt(string(text), 10, 64)
			}
		}
	}()
}
`, clock)},
}}
