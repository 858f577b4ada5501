package serving

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// arrivalTimes are those of a source up to a time, in seconds.
func arrivalTimes(a arrivals, until float64) []float64 {
	var out []float64
	for a.next() <= until {
		out = append(out, a.next())
		a.take()
	}
	return out
}

// TestPoisson: the count in each second has the rate as its mean and as its variance.
func TestPoisson(t *testing.T) {
	const rate, seconds = 7.0, 20_000
	p := newPoisson(1, 512, 128)
	p.setRate(rate, 0)
	counts := make([]float64, seconds)
	for _, at := range arrivalTimes(p, seconds-1e-9) {
		counts[int(at)]++
	}
	mean, variance := 0.0, 0.0
	for _, n := range counts {
		mean += n / seconds
	}
	for _, n := range counts {
		variance += (n - mean) * (n - mean) / seconds
	}
	if math.Abs(mean-rate) > 0.1 || math.Abs(variance-rate) > 0.4 {
		t.Errorf("mean %v, variance %v, want %v", mean, variance, rate)
	}
}

// TestRateStretchesArrivals: twice the rate is the same requests in half the time, and a pause only shifts them.
func TestRateStretchesArrivals(t *testing.T) {
	slow, fast, paused := newPoisson(5, 1, 1), newPoisson(5, 1, 1), newPoisson(5, 1, 1)
	slow.setRate(2, 0)
	fast.setRate(4, 0)
	paused.setRate(2, 0)
	want := arrivalTimes(slow, 100)
	for i, at := range arrivalTimes(fast, 50) {
		near(t, "at twice the rate", 2*at, want[i])
	}
	before := arrivalTimes(paused, 40)
	paused.setRate(0, 40)
	if next := paused.next(); !math.IsInf(next, 1) {
		t.Fatalf("at rate 0 the next request comes at %v", next)
	}
	paused.setRate(2, 60)
	after := arrivalTimes(paused, 120)
	if len(before)+len(after) != len(want) {
		t.Fatalf("%d + %d requests around a pause, %d without", len(before), len(after), len(want))
	}
	for i, at := range after {
		near(t, "after the pause", at-20, want[len(before)+i])
	}
}

func TestReplay(t *testing.T) {
	trace := []Request{{4 * time.Second, 3, 3}, {0, 1, 1}, {2 * time.Second, 2, 2}}
	if got, want := arrivalTimes(newReplay(trace, 0), 9), []float64{0, 2, 4}; !slices.Equal(got, want) {
		t.Errorf("arrivals %v, want %v", got, want)
	}
	if got, want := arrivalTimes(newReplay(trace, 4), 9), []float64{0, 0.5, 1}; !slices.Equal(got, want) {
		t.Errorf("arrivals at speed 4 %v, want %v", got, want)
	}
	if trace[0].PromptTokens != 3 {
		t.Error("the caller's trace was sorted")
	}
	m := newModel(t, Config{Server: exampleServer, Trace: trace}, 0, 1)
	if err := m.SetRate(1); err == nil || !strings.Contains(err.Error(), "load.trace") {
		t.Errorf("a rate beside a trace: %v", err)
	}
}

func TestRefusedRates(t *testing.T) {
	m := newModel(t, exampleConfig(), 5, 1)
	for _, rate := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1), 10_001} {
		err := m.SetRate(rate)
		if err == nil || !strings.Contains(err.Error(), "load.requests-per-second") ||
			!strings.Contains(err.Error(), "want a number from 0 to 10000") {
			t.Errorf("rate %v: %v", rate, err)
		}
	}
	m.Advance(time.Minute)
	if got := m.Totals().Arrived; got < 200 || got > 400 {
		t.Errorf("%d arrived in a minute at 5 per second, after refused rates", got)
	}
}
