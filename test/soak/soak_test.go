package soak

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// Three processes, built with the race detector, take part in one election while Deployments, pods, annotations, namespaces and the
// processes themselves come and go, people scale, and Prometheus and the API server fail. All along no process has a race or a panic, no
// Deployment leaves its bounds, and one under a steady load keeps its replicas. In the end there is one leader, which remembers what is
// there and nothing else; goroutines, open files, memory and series are what they were; and a step of the load is answered.
func TestSoak(t *testing.T) {
	began := cmp.Or(*seed, uint64(time.Now().UnixNano()))
	t.Logf("chance begins with -seed %d", began)
	t.Setenv("GORACE", fmt.Sprintf("halt_on_error=0 exitcode=%d", raceCode))
	program := stage.RaceProgram(t)
	w := newWorld(t)
	for range 3 {
		w.replicas = append(w.replicas, newReplica(t, program, "run", "--interval", "1s", "--max-sample-age", "5s", "--prometheus-url", w.prometheus.URL(), "--leader-elect"))
	}
	w.watchBounds()
	bed.WaitFor(t, time.Minute, "a world at rest", w.settled)
	before, err := w.usages()
	if err != nil {
		t.Fatal(err)
	}

	stop := w.watchProcesses()
	w.churn(t.Context(), *length, began)
	stop()
	w.calm()
	for _, r := range w.replicas {
		r.keep()
	}
	bed.WaitFor(t, 90*time.Second, "a world at rest again", w.settled)
	bed.WaitFor(t, 30*time.Second, "a checkpoint of what is there", w.remembered)
	w.comesBack(before)
	for n, d := range w.busy {
		w.loads[n].SetLoad(4 * 50)
		d.WaitReplicas(4, 20*time.Second)
	}
	for _, r := range w.replicas {
		r.restart(func(p *stage.Process) { p.Stop(t) }) // an exit code tells of races too
	}
}

// comesBack waits until the processes take no more than before: connections to pods that are gone are kept for a minute. Of a leader that does not it shows what its goroutines do.
func (w *world) comesBack(before []usage) {
	w.t.Helper()
	for began := time.Now(); ; {
		after, err := w.usages()
		if err != nil {
			w.t.Fatal(err)
		}
		var problems error
		for i := range after {
			w.t.Logf("before: %s; after: %s", before[i], after[i])
			problems = errors.Join(problems, after[i].grown(before[i]))
		}
		if problems == nil {
			return
		}
		if time.Since(began) > 2*time.Minute {
			w.t.Fatalf("two minutes later the processes still take more than before: %v\nThe leader's goroutines:\n%s", problems, leaders(w.replicas)[0].running().Dump())
		}
	}
}
