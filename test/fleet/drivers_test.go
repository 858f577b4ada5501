package fleet

import (
	"math"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestFixedCountsItsRates(t *testing.T) {
	m := NewFixed(Reading{GPUUtilization: 50, Running: 2, GenerationTokens: 100, Requests: 4, TTFT: 0.2})
	for s := range 11 {
		m.Advance(epoch.Add(time.Duration(s)*time.Second), []string{"a"})
	}
	load := m.Pod("a")
	if load.GPU.Utilization != 50 || load.Engine.Running != 2 {
		t.Errorf("load is %+v", load)
	}
	if load.Engine.GenerationTokens != 1000 || load.Engine.Finished != 40 {
		t.Errorf("after 10s: %v tokens, %v requests, want 1000 and 40", load.Engine.GenerationTokens, load.Engine.Finished)
	}
	if b := load.Engine.TTFT.buckets(); b[len(b)-1].count != 40 || b[7].count != 0 || b[8].count != 40 {
		t.Errorf("buckets are %v, want 40 in (0.1, 0.25]", b)
	}
}

func TestFixedSetsPodsOneByOne(t *testing.T) {
	m := NewFixed(Reading{GPUUtilization: 50})
	m.Set("b", Reading{GPUUtilization: math.NaN()})
	m.SetAll(Reading{GPUUtilization: 60})
	if a, b := m.Pod("a").GPU.Utilization, m.Pod("b").GPU.Utilization; a != 60 || !math.IsNaN(b) {
		t.Errorf("a reads %v and b %v, want 60 and NaN", a, b)
	}
	m.Reset(Reading{})
	if b := m.Pod("b").GPU.Utilization; b != 0 {
		t.Errorf("b reads %v, want 0", b)
	}
}

func TestSharedLoadIsSpreadOverReadyPods(t *testing.T) {
	m := NewShared(nil)
	m.SetLoad(300)
	for _, c := range []struct {
		ready []string
		want  float64
	}{{nil, 100}, {[]string{"a"}, 100}, {[]string{"a", "b", "c", "d"}, 75}, {[]string{"a", "b", "c"}, 100}} {
		m.Advance(epoch, c.ready)
		if got := m.Pod("a").GPU.Utilization; got != c.want {
			t.Errorf("with %d ready pods a reads %v, want %v", len(c.ready), got, c.want)
		}
	}
}

func TestPodThatIsReadySinceAMomentHasNoShareYet(t *testing.T) {
	m := NewShared(nil)
	m.SetLoad(100)
	if a := m.Pod("a").GPU.Utilization; a != 0 {
		t.Errorf("a reads %v before the load is spread, want 0", a)
	}
	m.Advance(epoch, []string{"a", "b"})
	if a, c := m.Pod("a").GPU.Utilization, m.Pod("c").GPU.Utilization; a != 50 || c != 0 {
		t.Errorf("a reads %v and c %v, want 50 and 0: together no more than there is", a, c)
	}
	m.Advance(epoch.Add(time.Second), []string{"a", "b", "c", "d"})
	if c := m.Pod("c").GPU.Utilization; c != 25 {
		t.Errorf("c reads %v, want 25", c)
	}
}

func TestGPUsOfAPodMayDiffer(t *testing.T) {
	l := GPULoad{Utilization: 10, Each: []float64{90, 30}}
	for k, want := range []float64{90, 30, 30} {
		if got := l.utilization(k); got != want {
			t.Errorf("GPU %d reads %v, want %v", k, got, want)
		}
	}
	l.Each = nil
	if got := l.utilization(5); got != 10 {
		t.Errorf("GPU 5 reads %v, want 10", got)
	}
}

func newServing(t *testing.T) *Serving {
	t.Helper()
	m, err := NewServing(serving.Config{
		Server:       serving.Server{MaxRunning: 8, TokensPerSecond: 800, PrefillTokensPerSecond: 50000, KVTokens: 20000},
		PromptTokens: 100, OutputTokens: 20, Seed: 7,
	}, 70000)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetRate(20); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestServingIsTheModelOfTheClosedLoop(t *testing.T) {
	m := newServing(t)
	pods := []string{"a", "b"}
	var last float64
	for tick := range 601 {
		m.Advance(epoch.Add(time.Duration(tick)*100*time.Millisecond), pods)
		e := m.Pod("a").Engine
		if e.Finished < last {
			t.Fatalf("finished requests went from %v down to %v", last, e.Finished)
		}
		last = e.Finished
	}
	a, b := m.Pod("a"), m.Pod("b")
	if total := a.Engine.Finished + b.Engine.Finished; total < 1000 || total > 1400 {
		t.Errorf("%v requests finished in 60s at 20/s", total)
	}
	if a.GPU.MemoryUsed != 70000 || a.GPU.Utilization <= 0 || a.GPU.Utilization > 100 {
		t.Errorf("GPU reads %+v", a.GPU)
	}
	for name, h := range map[string]*Histogram{
		"e2e": a.Engine.E2E, "queue time": a.Engine.QueueTime, "prompt tokens": a.Engine.RequestPromptTokens,
	} {
		buckets := h.buckets()
		if n := buckets[len(buckets)-1].count; n != a.Engine.Finished {
			t.Errorf("histogram of %s has %v observations, want one of each of the %v requests", name, n, a.Engine.Finished)
		}
	}
	if b := a.Engine.InterToken.buckets(); b[len(b)-1].count != 19*a.Engine.Finished {
		t.Errorf("%v gaps between tokens, want 19 of each request", b[len(b)-1].count)
	}
	if err := m.Err(); err != nil {
		t.Error(err)
	}
}

func TestServingReadsTheSameEachTime(t *testing.T) {
	first, second := newServing(t), newServing(t)
	for tick := range 100 {
		now := epoch.Add(time.Duration(tick) * 100 * time.Millisecond)
		first.Advance(now, []string{"a"})
		second.Advance(now, []string{"a"})
	}
	if a, b := first.Pod("a").Engine, second.Pod("a").Engine; a.Finished != b.Finished || a.TTFT.sum != b.TTFT.sum || a.Finished == 0 {
		t.Errorf("%+v and %+v differ", a, b)
	}
}

func TestServingOfAPodThatLeft(t *testing.T) {
	m := newServing(t)
	for tick := range 50 {
		m.Advance(epoch.Add(time.Duration(tick)*100*time.Millisecond), []string{"a"})
	}
	served := m.Pod("a").Engine.Finished
	for tick := range 2 {
		m.Advance(epoch.Add(time.Duration(50+tick)*100*time.Millisecond), nil)
	}
	after := m.Pod("a")
	if after.Engine.Running != 0 || after.GPU.Utilization != 0 || after.Engine.Finished < served {
		t.Errorf("after it left it reads %+v", after)
	}
	if m.Pending() == 0 {
		t.Error("nothing waits, though nobody serves")
	}
}

func TestServingRefusesBadConfiguration(t *testing.T) {
	if _, err := NewServing(serving.Config{}, 0); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
