package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// elected starts a controller that takes part in the election of a leader.
func elected(t *testing.T, ns, prometheus string) *process {
	t.Helper()
	return start(t, cluster.config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", prometheus, "--leader-elect")
}

// leads tells whether a process says that it is the leader.
func (p *process) leads() bool {
	text, err := get("http://" + p.listen + "/metrics")
	return err == nil && strings.Contains(string(text), "\ngpuscaler_leader 1")
}

// wantWrites wants that many writes in the audit log, which may come after the reply, and no more.
func (d deployment) wantWrites(n int) {
	d.t.Helper()
	check := func() error {
		if writes := d.writes(); len(writes) != n {
			return fmt.Errorf("%d writes, want %d: %v", len(writes), n, writes)
		}
		return nil
	}
	bed.WaitFor(d.t, 5*time.Second, "the writes", check)
	bed.Holds(d.t, time.Second, "no further write", check)
}

// The leader killed with two running: the other takes over in under 20 s, and exactly one of them writes.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "leader")
	l := newLoad(100)
	d := create(t, ns, "vision", 2, gpuAnnotations(), l)
	sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} == 50)`, 2)
	one, other := elected(t, ns, p.URL()), elected(t, ns, p.URL())
	bed.WaitFor(t, 30*time.Second, "one leader", func() error {
		return bed.Want("exactly one leads", one.leads() != other.leads(), true)
	})
	leader, standby := one, other
	if other.leads() {
		leader, standby = other, one
	}
	// A standby forwards to the leader.
	d.waitReason(standby, "WithinTolerance")

	l.SetLoad(200)
	d.waitReplicas(4, 15*time.Second)
	d.waitReady(4)
	d.wantWrites(1)

	leader.Kill()
	killed := time.Now()
	l.SetLoad(300)
	d.waitReplicas(6, 30*time.Second)
	if took := time.Since(killed); took > 20*time.Second {
		t.Errorf("the other took over after %s, want under 20 s", took)
	}
	if !standby.leads() {
		t.Error("the standby does not say that it leads now")
	}
	d.wantWrites(2)

	// A leader that ends in order hands over at once.
	next := elected(t, ns, p.URL())
	standby.Stop(t)
	stopped := time.Now()
	bed.WaitFor(t, 20*time.Second, "the next leader", func() error { return bed.Want("leads", next.leads(), true) })
	if took := time.Since(stopped); took > 10*time.Second {
		t.Errorf("an orderly handover took %s, want a few seconds", took)
	}
}

// Killed with -9 and started again: the replicas stay, nothing is lowered before a full window, and it goes on.
func TestKilledAndRestarted(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "killed")
	l := newLoad(200)
	d := create(t, ns, "vision", 4, gpuAnnotations("scale-down.stabilization", "8s"), l)
	program := runs(t, ns, p.URL())
	d.waitReason(program, "WithinTolerance")
	l.SetLoad(20)
	program.Kill()
	program = runs(t, ns, p.URL())
	restarted := time.Now()
	d.waitReason(program, "ScaleDownStabilized")
	d.waitReplicas(1, 30*time.Second)
	// The window counts from the first tick, whose time is the last multiple of the interval.
	if took := time.Since(restarted); took < 7*time.Second {
		t.Errorf("lowered %s after the restart, want a full window of 8 s", took)
	}
	l.SetLoad(100)
	d.waitReplicas(2, 15*time.Second)
}
