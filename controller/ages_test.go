package controller

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// fakeTimes is a TimeReader that notes what it is asked.
type fakeTimes struct {
	mu    sync.Mutex
	asked []string
	taken map[string]time.Time
	fail  error
	hang  bool
}

func (f *fakeTimes) ReadTimes(ctx context.Context, signal policy.Signal, namespaces []string) (Readings, error) {
	f.mu.Lock()
	for _, ns := range namespaces {
		f.asked = append(f.asked, string(signal)+" "+ns)
	}
	f.mu.Unlock()
	if f.hang {
		<-ctx.Done()
		return Readings{}, ctx.Err()
	}
	return Readings{Pod: func(_, name string) (policy.Sample, string) {
		at, ok := f.taken[name]
		return policy.Sample{Time: at, OK: ok}, ""
	}}, f.fail
}

// gpuAsks are annotations of a target on utilization and steps on a latency.
func gpuAsks() map[string]string {
	a := asks(policy.GPUUtilization)
	a[policy.Prefix+"steps."+string(policy.TTFTP95)] = ">2:+1"
	return a
}

// raised is a bed with a Deployment on utilization that was raised 20 s before noon, whose last pod is Ready since noon.
func raised(t *testing.T, times *fakeTimes) *bed {
	b := newBed(t, func(o *Options) { o.Times = times })
	b.reader.set(policy.GPUUtilization, 50)
	b.deploy("a", 3, asks(policy.GPUUtilization))
	b.tick(0)
	times.asked = nil
	b.targets["uid-a"].state.Events = []policy.ScaleEvent{{Change: 1, Time: noon.Add(-20 * time.Second)}}
	b.pod("a-2", func(p *pod) { p.since = noon.Unix() })
	return b
}

// The times of samples are read only while they matter: nothing is asked at rest.
func TestTimesAreReadOnlyWhileTheyMatter(t *testing.T) {
	steps := []policy.Firing{{Signal: policy.TTFTP95, Above: true, Threshold: 2, Time: noon.Add(-20 * time.Second)}}
	for name, tt := range map[string]struct {
		annotations map[string]string
		change      func(*bed, *target)
		n           int
		asked       []string
	}{
		"just ready after a raise":       {asks(policy.GPUUtilization), func(*bed, *target) {}, 1, []string{"gpu-utilization ns"}},
		"at the end":                     {asks(policy.GPUUtilization), func(*bed, *target) {}, 18, []string{"gpu-utilization ns"}},
		"long ready":                     {asks(policy.GPUUtilization), func(*bed, *target) {}, 19, nil},
		"nothing was raised":             {asks(policy.GPUUtilization), func(_ *bed, t *target) { t.state.Events = nil }, 1, nil},
		"it was lowered":                 {asks(policy.GPUUtilization), func(_ *bed, t *target) { t.state.Events[0].Change = -1 }, 1, nil},
		"a young raise":                  {asks(policy.GPUUtilization), func(_ *bed, t *target) { t.state.Events[0].Time = noon.Add(2 * time.Second) }, 1, []string{"gpu-utilization ns"}},
		"ready in the second of a raise": {asks(policy.GPUUtilization), func(_ *bed, t *target) { t.state.Events[0].Time = noon.Add(time.Second / 2) }, 1, []string{"gpu-utilization ns"}},
		"another signal":                 {asks(policy.RunningRequests), func(*bed, *target) {}, 1, nil},
		"steps that have fired": {
			gpuAsks(), func(_ *bed, t *target) { t.state.Events, t.state.Fired = nil, steps }, 1,
			[]string{"gpu-utilization ns", "ttft-p95 ns"},
		},
		"no pods can be listed": {asks(policy.GPUUtilization), func(b *bed, _ *target) { b.members.pods.synced.Store(false) }, 1, nil},
	} {
		times := &fakeTimes{}
		b := raised(t, times)
		b.deploy("quiet", 1, gpuAsks())
		b.show("a", "uid-a", 3, tt.annotations)
		tt.change(b, b.targets["uid-a"])
		b.tick(tt.n)
		slices.Sort(times.asked)
		if !slices.Equal(times.asked, tt.asked) {
			t.Errorf("%s: asked %q, want %q", name, times.asked, tt.asked)
		}
	}
}

// A sample gets its time only where it is certain which sample was read.
func TestSamplesGetTheirTimes(t *testing.T) {
	now := noon.Add(5 * time.Second)
	times := &fakeTimes{taken: map[string]time.Time{
		"a-0": now.Add(-3 * time.Second),
		"a-1": now.Add(time.Second),       // between the two queries
		"a-2": now.Add(-91 * time.Second), // of a part that was left out
	}}
	b := raised(t, times)
	b.run("a", "uid-a", 4, policy.Ready)
	b.pod("a-2", func(p *pod) { p.since = noon.Unix() })
	seen := b.observe(1)
	for pod, want := range map[string]time.Time{"a-0": times.taken["a-0"], "a-1": {}, "a-2": {}, "a-3": {}} {
		if got := sampleOf(&seen, pod); !got.Time.Equal(want) || got.Value != 50 || !got.OK {
			t.Errorf("%s: %+v, want 50 taken at %v", pod, got, want)
		}
	}
	times.fail = errors.New("refused")
	seen = b.observe(1)
	if got := sampleOf(&seen, "a-0"); !got.OK || !got.Time.IsZero() || seen.Readings[0].Problem != "" {
		t.Errorf("%+v when times cannot be read, want a sample of unknown time", got)
	}
}

// Kubernetes cuts the moment of Ready to its second: a sample of that second may be from before, when the others carried the load of the new
// pod too, and must not raise once more.
func TestSamplesOfTheSecondOfReadyDoNotRaise(t *testing.T) {
	for taken, want := range map[time.Duration]int{0: 3, 900 * time.Millisecond: 3, time.Second: 6} {
		at := noon.Add(taken)
		times := &fakeTimes{taken: map[string]time.Time{"a-0": at, "a-1": at, "a-2": at}}
		b := raised(t, times)
		b.reader.set(policy.GPUUtilization, 100)
		b.tick(1)
		if got := b.targets["uid-a"].decision.Desired; got != want {
			t.Errorf("samples taken %v after the second of Ready began: %d replicas, want %d", taken, got, want)
		}
	}
}

// Times that do not come hold up only those that wait for them, and then they are decided without.
func TestSlowTimesHoldUpOnlyThoseThatNeedThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := &fakeTimes{}
		b := raised(t, times)
		b.deploy("quiet", 1, asks(policy.GPUUtilization))
		b.reader.set(policy.GPUUtilization, 100)
		times.hang = true
		began := time.Now()
		after := map[string]time.Duration{}
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			after[c.name] = time.Since(began)
			return written{replicas: c.to}, nil
		}
		s := b.Tick(t.Context(), noon.Add(5*time.Second))
		synctest.Wait()
		if at, ok := after["quiet"]; !ok || at != 0 {
			t.Errorf("writes %v, want that of quiet at once", after)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("the tick took %v, want the query given up after 4s of 5s", took)
		}
		if w := s.Find("ns", "a"); w.Note != "" || w.Decision.Signals[0].Sampled != 3 {
			t.Errorf("workload %+v, want it decided all the same", w)
		}
	})
}
