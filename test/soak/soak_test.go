package soak

import (
	"cmp"
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
	bed.WaitFor(t, time.Minute, "processes that take no more than before", func() error {
		after, err := w.usages()
		if err != nil {
			return err
		}
		for i := range after {
			t.Logf("before: %s; after: %s", before[i], after[i])
			if err := after[i].grown(before[i]); err != nil {
				return err
			}
		}
		return nil
	})
	for n, d := range w.busy {
		w.loads[n].SetLoad(4 * 50)
		d.WaitReplicas(4, 20*time.Second)
	}
	for _, r := range w.replicas {
		r.restart(func(p *stage.Process) { p.Stop(t) }) // an exit code tells of races too
	}
}
