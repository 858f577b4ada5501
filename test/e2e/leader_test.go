package e2e

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// The leader killed with two running: the other takes over in under 20 s, and exactly one of them writes.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "leader")
	l := stage.NewLoad(100)
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), l)
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} == 50)`, 2)
	one, other := stage.Elected(t, ns, p.URL()), stage.Elected(t, ns, p.URL())
	bed.WaitFor(t, 30*time.Second, "one leader", func() error {
		return bed.Want("exactly one leads", one.Leads() != other.Leads(), true)
	})
	leader, standby := one, other
	if other.Leads() {
		leader, standby = other, one
	}
	// A standby forwards to the leader.
	d.WaitReason(standby, "WithinTolerance")

	l.SetLoad(200)
	d.WaitReplicas(4, 15*time.Second)
	d.WaitReady(4)
	d.WantWrites(1)

	leader.Kill()
	killed := time.Now()
	l.SetLoad(300)
	d.WaitReplicas(6, 30*time.Second)
	if took := time.Since(killed); took > 20*time.Second {
		t.Errorf("the other took over after %s, want under 20 s", took)
	}
	if !standby.Leads() {
		t.Error("the standby does not say that it leads now")
	}
	d.WantWrites(2)

	// A leader that ends in order hands over at once.
	next := stage.Elected(t, ns, p.URL())
	standby.Stop(t)
	stopped := time.Now()
	bed.WaitFor(t, 20*time.Second, "the next leader", func() error { return bed.Want("leads", next.Leads(), true) })
	if took := time.Since(stopped); took > 10*time.Second {
		t.Errorf("an orderly handover took %s, want a few seconds", took)
	}
}

// Killed with -9 and started again: the replicas stay, nothing is lowered before a full window, and it goes on.
func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "killed")
	l := stage.NewLoad(200)
	d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations("scale-down.stabilization", "8s"), l)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	l.SetLoad(20)
	program.Kill()
	program = stage.Runs(t, ns, p.URL())
	restarted := time.Now()
	d.WaitReason(program, "ScaleDownStabilized")
	d.WaitReplicas(1, 30*time.Second)
	// The window counts from the first tick, whose time is the last multiple of the interval.
	if took := time.Since(restarted); took < 7*time.Second {
		t.Errorf("lowered %s after the restart, want a full window of 8 s", took)
	}
	l.SetLoad(100)
	d.WaitReplicas(2, 15*time.Second)
}
