package controller

import (
	"context"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// perPod reads a value of each pod; one that is not there has no sample.
type perPod map[string]policy.Sample

func (r perPod) readings() Readings {
	return Readings{Pod: func(_, name string) (policy.Sample, string) { return r[name], "" }}
}

// reads makes the reader of a bed answer by pod.
func (b *bed) reads(r perPod) {
	b.options.Signals = readerFunc(func(context.Context, policy.Signal, []string) (Readings, error) { return r.readings(), nil })
}

// sampleOf finds the sample of a pod in the first reading.
func sampleOf(seen *policy.Observation, pod string) policy.Sample {
	for i, p := range seen.Pods {
		if p.Name == pod {
			return seen.Readings[0].Samples[i]
		}
	}
	return policy.Sample{}
}

// Overload must not erase its own evidence: a pod that ceases to be Ready keeps its last sample as long as that is young enough.
func TestLastSampleLingers(t *testing.T) {
	b := newBed(t)
	b.deploy("a", 3, asks(policy.RunningRequests))
	both := perPod{"a-0": {Value: 70, OK: true}, "a-1": {Value: 90, OK: true}}
	rest := perPod{"a-0": {Value: 71, OK: true}}
	sample := func(n int, pod string) policy.Sample {
		t.Helper()
		seen := b.observe(n)
		return sampleOf(&seen, pod)
	}
	b.reads(both)
	b.tick(0)
	if got := sample(1, "a-2"); got.OK { // it has never had one
		t.Errorf("a pod without samples has %+v", got)
	}
	b.reads(rest)
	if got := sample(2, "a-1"); got.OK { // as it is Ready, its sample is missing
		t.Errorf("a Ready pod that is not scraped has %+v, want none", got)
	}
	unready := func(p *pod) { p.phase, p.served, p.since = policy.Loading, true, noon.Add(12*time.Second).Unix() }
	b.pod("a-1", unready)
	b.pod("a-2", unready)
	// The sample was read at the first tick after noon: 5 s.
	for _, n := range []int{3, 18, 19, 20} {
		if got := sample(n, "a-1"); got.OK != (n < 20) || n < 20 && got.Value != 90 {
			t.Errorf("at tick %d: %+v, want 90 before tick 20", n, got)
		}
	}
	if got := sample(4, "a-2"); got.OK {
		t.Errorf("a pod that never had a sample has %+v", got)
	}
	b.reads(perPod{"a-1": {Value: 60, OK: true}})
	if got := sample(5, "a-1"); got.Value != 60 {
		t.Errorf("%+v, want the new sample", got)
	}
	if got := sample(6, "a-0"); got.OK {
		t.Errorf("a Ready pod has %+v, want none", got)
	}
}

// What has its own time is as old as that says. A pod that has never served has nothing to keep.
func TestLastSampleKeepsItsTime(t *testing.T) {
	b := newBed(t)
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.run("a", "uid-a", 2, policy.Ready)
	b.pod("a-1", func(p *pod) { p.phase = policy.Loading })
	taken := noon.Add(-80 * time.Second)
	b.reads(perPod{"a-0": {Value: 1, Time: taken, OK: true, Idle: true}, "a-1": {Value: 2, OK: true}})
	b.tick(0)
	b.pod("a-0", func(p *pod) { p.phase, p.served = policy.Loading, true })
	b.pod("a-1", func(p *pod) { p.served = true })
	b.reads(perPod{})
	seen := b.observe(2)
	if got := sampleOf(&seen, "a-0"); !got.OK || !got.Idle {
		t.Errorf("%+v, want the idle sample of 80s before", got)
	}
	if got := sampleOf(&seen, "a-1"); got.OK {
		t.Errorf("%+v of a pod that had not served when it was read, want none", got)
	}
	seen = b.observe(3)
	if got := sampleOf(&seen, "a-0"); got.OK {
		t.Errorf("%+v, want none: it is too old", got)
	}
}

// A reply that cannot be trusted neither is filled in nor takes what is kept away. Other annotations begin anew.
func TestLastSampleOutlivesAFailedRead(t *testing.T) {
	b := newBed(t)
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.reads(perPod{"a-0": {Value: 90, OK: true}})
	b.tick(0)
	b.pod("a-0", func(p *pod) { p.phase, p.served = policy.Loading, true })
	b.options.Signals = readerFunc(func(context.Context, policy.Signal, []string) (Readings, error) { return Readings{}, errNoPast })
	if seen := b.observe(1); seen.Readings[0].Problem != policy.NoData || len(seen.Readings[0].Samples) != 0 {
		t.Errorf("reading %+v, want only that it failed", seen.Readings[0])
	}
	b.reads(perPod{})
	if seen := b.observe(2); sampleOf(&seen, "a-0").Value != 90 {
		t.Errorf("reading %+v, want the last sample", seen.Readings[0])
	}
	b.show("a", "uid-a", 1, asks(policy.GPUUtilization))
	if seen := b.observe(3); sampleOf(&seen, "a-0").OK {
		t.Errorf("reading %+v, want nothing of another signal", seen.Readings[0])
	}
}
