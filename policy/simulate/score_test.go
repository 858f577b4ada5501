package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/serving"
)

func TestScore(t *testing.T) {
	s := scene(t, 4, 1, "target.running-requests=10", "max-replicas=2", "scale-down.stabilization=0s").
		reads(t, policy.RunningRequests, "10x1 20x1 10 4x3 20x2 10")
	r := simulated(t, s)
	// Raised at 0:30, lowered at 1:15, raised at 2:15.
	expectText(t, "replicas", replicas(r), "1x3 2x3 1x4 2x7")
	want := Score{GPUHours: (15*2 + 2*15*3 + 15*4 + 2*15*7) / 3600.0, ScaleUps: 2, ScaleDowns: 1, Reversals: 2, MinutesOverTarget: 1.25}
	if r.Score != want {
		t.Errorf("score %+v, want %+v", r.Score, want)
	}
	// What is left after the last tick counts too.
	s.Duration += 5 * time.Second
	if r := simulated(t, s); r.Score.GPUHours != 400/3600.0 {
		t.Errorf("5 s longer: GPU-hours %v, want %v", r.Score.GPUHours, 400/3600.0)
	}
}

func expectation(t testing.TB, name string, bound float64) Expectation {
	t.Helper()
	e, err := ParseExpectation(name, bound)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExpectations(t *testing.T) {
	score := Score{GPUHours: 1.5, ScaleUps: 3, Reversals: 2, Score: &serving.Score{Requests: 100, Completed: 90, SLOAttainment: 0.5, TTFTP50: 0.25, TTFTP99: 3}}
	for _, c := range []struct {
		name  string
		bound float64
		want  string // empty if it holds
	}{
		{"max-gpu-hours", 1.5, ""},
		{"max-gpu-hours", 1.4, "max-gpu-hours: gpu-hours is 1.5, which is above 1.4"},
		{"min-scale-ups", 3, ""},
		{"min-scale-ups", 4, "min-scale-ups: scale-ups is 3, which is below 4"},
		{"max-scale-downs", 0, ""},
		{"max-reversals", 1, "max-reversals: reversals is 2, which is above 1"},
		{"max-minutes-over-target", 0, ""},
		{"min-requests", 101, "min-requests: requests is 100, which is below 101"},
		{"min-completed", 90, ""},
		{"min-slo-attainment", 0.99, "min-slo-attainment: slo-attainment is 0.5, which is below 0.99"},
		{"max-ttft-p50", 0.25, ""},
		{"max-ttft-p99", 2, "max-ttft-p99: ttft-p99 is 3, which is above 2"},
	} {
		e := expectation(t, c.name, c.bound)
		if e.Name() != c.name {
			t.Errorf("%s is called %s", c.name, e.Name())
		}
		got := ""
		if err := e.Check(&score); err != nil {
			got = err.Error()
		}
		expectText(t, c.name, got, c.want)
	}
	for _, name := range []string{"max-reversal", "reversals", "mid-reversals", "", "max-", "min-max-reversals"} {
		if _, err := ParseExpectation(name, 1); err == nil || !strings.Contains(err.Error(), "give min- or max- and one of gpu-hours, scale-ups") {
			t.Errorf("%q: got %v", name, err)
		}
	}
	// A quantile of no request is no quantile.
	if err := expectation(t, "max-ttft-p99", 1).Check(&Score{Score: &serving.Score{Requests: 5}}); err == nil {
		t.Error("max-ttft-p99 holds although no request got a token")
	}
}
