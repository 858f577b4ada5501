package faults

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofPrometheus are the faults of Prometheus and of its replies.
var ofPrometheus = []row{
	{
		number: 1, fault: "Prometheus refuses connections",
		promise: "nothing is lowered; after the outage nothing is lowered for a window, then it resumes by itself",
		guard:   noTrust, play: broken(prom.Refuse),
	},
}

// noTrust is the guard of all that makes a reply useless.
var noTrust = &mutant.Mutation{
	Name: "no data lowers to the minimum",
	Edits: []mutant.Edit{{
		File: "policy/recommend.go", Old: "	s.Reason = NoData", New: "	if mutant == N { s.Recommended = 1 }\n	s.Reason = NoData",
	}},
}

// broken plays a load that is gone while the metrics break, so that a scaler which trusts them would lower.
func broken(f prom.Fault) func(w *world) {
	return func(w *world) {
		p := stage.StartPrometheus(w, false)
		l := stage.NewLoad(200)
		ns := stage.Namespace(w, "fault")
		d := stage.Create(w, ns, "vision", 4, stage.GPUAnnotations(), l)
		program := w.runs(ns, p.URL(), "--max-sample-age", "5s")
		d.WaitReason(program, "WithinTolerance")
		set(w, p, f)
		l.SetLoad(20)
		d.WaitReason(program, "NoData")
		d.NeverBelow(4, 7*time.Second) // longer than the window and than a sample may be old: a gap

		healed := time.Now() // at the earliest: a tick may come while it heals
		set(w, p, prom.Normal)
		d.WaitReason(program, "Gap")
		d.WaitReplicas(1, 30*time.Second)
		if took := time.Since(healed); took < 5*time.Second {
			w.Errorf("lowered %s after the data came back, want a full window of 5 s", took)
		}
	}
}

func set(t testing.TB, p *prom.Server, f prom.Fault) {
	t.Helper()
	if err := p.SetFault(f); err != nil {
		t.Fatal(err)
	}
}
