package serving

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestReadingsAddUp: what readings tell one by one is what the counters say, however they are spaced.
func TestReadingsAddUp(t *testing.T) {
	m := newModel(t, exampleConfig(), 8, 1)
	random := rand.New(rand.NewPCG(2, 2))
	var tokens, finished, busy float64
	var firsts, done int
	now := time.Duration(0)
	var load Load
	for range 500 {
		step := time.Duration(random.Int64N(int64(5 * time.Second)))
		now += step
		m.Advance(now)
		load = read(t, m, "p0")
		tokens += load.TokensPerSecond * step.Seconds()
		finished += load.RequestsPerSecond * step.Seconds()
		busy += load.GPUUtilization / 100 * step.Seconds()
		firsts += len(load.FirstTokens)
		done += len(load.Completions)
	}
	if got := float64(load.GenerationTokens); math.Abs(got-tokens) > 1.01 {
		t.Errorf("the counter says %v tokens, the rates %v", got, tokens)
	}
	if math.Abs(finished-float64(load.Finished)) > 1e-6 || done != int(load.Finished) {
		t.Errorf("the counter says %d requests, the rates %v, the completions %d", load.Finished, finished, done)
	}
	if firsts < done || firsts > done+load.Running {
		t.Errorf("%d first tokens, %d completions, %d running", firsts, done, load.Running)
	}
	near(t, "busy seconds", busy, m.byName["p0"].previous.busy)
}

// TestReadTwice: a second reading at the same time has the same rates, and tells no request again.
func TestReadTwice(t *testing.T) {
	m := newModel(t, exampleConfig(), 8, 1)
	if first := read(t, m, "p0"); first.GPUUtilization != 0 || first.TokensPerSecond != 0 {
		t.Errorf("at the start: %+v", first)
	}
	m.Advance(time.Minute)
	first, second := read(t, m, "p0"), read(t, m, "p0")
	if len(first.Completions) == 0 || len(second.Completions) != 0 || len(second.FirstTokens) != 0 {
		t.Errorf("%d completions told, then %d", len(first.Completions), len(second.Completions))
	}
	if first.TokensPerSecond == 0 || first.TokensPerSecond != second.TokensPerSecond ||
		first.GPUUtilization != second.GPUUtilization || first.RequestsPerSecond != second.RequestsPerSecond {
		t.Errorf("rates differ: %+v, %+v", first, second)
	}
	if first.TTFT() != second.TTFT() || first.TTFT().Count == 0 {
		t.Errorf("quantiles differ: %+v, %+v", first.TTFT(), second.TTFT())
	}
}

// TestWindow: quantiles are over the window, not over the time since the last reading, and of nothing when it is empty.
func TestWindow(t *testing.T) {
	config := exampleConfig()
	config.Window = 30 * time.Second
	m := newModel(t, config, 4, 1)
	var answered, ttft []float64 // of all requests
	for at := time.Second; at <= 3*time.Minute; at += time.Second {
		m.Advance(at)
		load := read(t, m, "p0")
		for _, v := range load.FirstTokens {
			answered, ttft = append(answered, at.Seconds()), append(ttft, v)
		}
		var recent []float64
		for i, when := range answered {
			if when > at.Seconds()-30 { // both ends of the window are whole seconds, so the reading's time decides
				recent = append(recent, ttft[i])
			}
		}
		slices.Sort(recent)
		want := Quantile{Count: len(recent)}
		if want.Count > 0 {
			want.P95 = recent[int(math.Ceil(0.95*float64(want.Count)))-1]
		}
		if got := load.TTFT(); got != want {
			t.Fatalf("at %v: %+v, want %+v", at, got, want)
		}
	}
	setRate(t, m, 0)
	m.Advance(10 * time.Minute)
	read(t, m, "p0") // tells the last ones
	if load := read(t, m, "p0"); load.TTFT() != (Quantile{}) || load.QueueTime() != (Quantile{}) || load.InterToken() != (Quantile{}) {
		t.Errorf("with nothing served: %+v", load)
	}
}

// TestInterTokenNeedsTwoTokens: a request of one token has no gap between tokens, and must not pull the quantile down.
func TestInterTokenNeedsTwoTokens(t *testing.T) {
	trace := []Request{{0, 100, 1}, {time.Second, 100, 2}}
	m := newModel(t, Config{Server: exampleServer, Trace: trace}, 0, 1)
	m.Advance(2 * time.Second)
	load := read(t, m, "p0")
	if load.InterToken().Count != 1 || load.QueueTime().Count != 2 {
		t.Errorf("gaps from %d requests, queue times from %d", load.InterToken().Count, load.QueueTime().Count)
	}
	near(t, "gap", load.InterToken().P95, 33.0/4000)
}

// TestReadingIsTheReaders: later readings do not write into earlier ones.
func TestReadingIsTheReaders(t *testing.T) {
	m := newModel(t, exampleConfig(), 9, 1)
	var loads []Load
	var copies [][]Completion
	for at := tick; at <= 20*time.Minute; at += tick {
		m.Advance(at)
		load := read(t, m, "p0")
		loads, copies = append(loads, load), append(copies, slices.Clone(load.Completions))
	}
	for i := range loads {
		if !slices.Equal(loads[i].Completions, copies[i]) {
			t.Fatalf("reading %d changed", i)
		}
	}
}

func TestPercentile(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		values := make([]float64, random.IntN(40))
		for i := range values {
			values[i] = float64(random.IntN(1 + random.IntN(30)))
		}
		p := 0.01 * float64(1+random.IntN(100))
		sorted := slices.Sorted(slices.Values(values))
		want := 0.0
		if len(sorted) > 0 {
			want = sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
		}
		if got := percentile(values, p); got != want {
			t.Fatalf("%v of %v is %v, want %v", p, sorted, got, want)
		}
	}
}

func TestScore(t *testing.T) {
	m := newModel(t, exampleConfig(), 0, 1)
	if got, want := m.Score(SLO{TTFT: time.Second}), (Score{SLOAttainment: 1}); got != want {
		t.Errorf("with no request: %+v, want %+v", got, want)
	}
	m.ledger.ttft = []float64{3, never, 1, 2, 0.5}
	m.ledger.completed = 2
	want := Score{Requests: 5, Completed: 2, SLOAttainment: 0.6, TTFTP50: 1, TTFTP99: 3}
	if got := m.Score(SLO{TTFT: 2 * time.Second}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
