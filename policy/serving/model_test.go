package serving

import (
	"math"
	"slices"
	"testing"
	"time"
)

// TestOneRequest is the model by hand: 512 prompt tokens at 20,000/s, then 128 tokens at a step of (32+1)/(2*2000) s.
func TestOneRequest(t *testing.T) {
	trace := []Request{{At: time.Second, PromptTokens: 512, OutputTokens: 128}}
	m := newModel(t, Config{Server: exampleServer, Trace: trace}, 0, 1)
	const prefill, step = 512.0 / 20000, 33.0 / 4000

	m.Advance(time.Second)
	if load := read(t, m, "p0"); load.Running != 1 || load.KVCache != 100*512.0/200000 || load.GPUUtilization != 0 {
		t.Errorf("at its arrival: %+v", load)
	}
	m.Advance(1500 * time.Millisecond)
	tokens := (0.5 - prefill) / step
	load := read(t, m, "p0")
	near(t, "KV cache, percent", load.KVCache, 100*(512+tokens)/200000)
	near(t, "utilization", load.GPUUtilization, 100)
	near(t, "tokens per second", load.TokensPerSecond, tokens/0.5)
	near(t, "time to first token", load.FirstTokens[0], prefill+step)
	if load.GenerationTokens != int64(tokens) || load.PromptTokens != 512 || load.Finished != 0 {
		t.Errorf("counters in its middle: %+v", load)
	}
	m.Advance(3500 * time.Millisecond)
	load = read(t, m, "p0")
	done := load.Completions[0]
	near(t, "queue time", done.QueueTime, 0)
	near(t, "prefill", done.Prefill, prefill)
	near(t, "decode", done.Decode, 128*step)
	near(t, "end to end", done.E2E, prefill+128*step)
	near(t, "gap between tokens", done.InterToken, step)
	near(t, "utilization after it ended", load.GPUUtilization, 100*(prefill+128*step-0.5)/2)
	if load.GenerationTokens != 128 || load.Finished != 1 || load.KVCache != 0 || load.Running != 0 {
		t.Errorf("after its end: %+v", load)
	}
	if got, want := m.Score(SLO{TTFT: time.Second}), (Score{1, 1, 1, load.TTFT().P95, load.TTFT().P95}); got != want {
		t.Errorf("score %+v, want %+v", got, want)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestDecodeSlowsDown: a batch of n shares n/T(n), which grows with n and ends at the configured rate.
func TestDecodeSlowsDown(t *testing.T) {
	for _, n := range []int{1, 2, 8, 16, 32} {
		trace := slices.Repeat([]Request{{PromptTokens: 1, OutputTokens: 10_000}}, n)
		server := exampleServer
		server.KVTokens = 1_000_000
		m := newModel(t, Config{Server: server, Trace: trace}, 0, 1)
		m.Advance(time.Second)
		read(t, m, "p0")
		m.Advance(11 * time.Second)
		near(t, "tokens per second", read(t, m, "p0").TokensPerSecond, 2*2000*float64(n)/float64(32+n))
	}
}

// TestSaturation: past its capacity a replica serves at capacity and its queue takes the rest.
func TestSaturation(t *testing.T) {
	const rate = 20.0
	m := newModel(t, exampleConfig(), rate, 1)
	capacity := 1 / (512.0/20000 + 128.0/2000)
	m.Advance(time.Minute)
	first := read(t, m, "p0")
	for i := 2; i <= 20; i++ {
		m.Advance(time.Duration(i) * time.Minute)
		load := read(t, m, "p0")
		if load.GPUUtilization < 100-1e-9 || load.Running < 31 {
			t.Fatalf("minute %d: utilization %v, running %d", i, load.GPUUtilization, load.Running)
		}
		if math.Abs(load.RequestsPerSecond-capacity) > 0.03*capacity {
			t.Errorf("minute %d: serves %v requests per second, capacity %v", i, load.RequestsPerSecond, capacity)
		}
	}
	last := read(t, m, "p0")
	growth := float64(last.Waiting-first.Waiting) / (19 * 60)
	if math.Abs(growth-(rate-capacity)) > 0.05*(rate-capacity) {
		t.Errorf("the queue grows by %v per second, want %v", growth, rate-capacity)
	}
}

// TestLittlesLaw: in a steady state the requests in a replica are the rate of arrivals times their time in it.
func TestLittlesLaw(t *testing.T) {
	for _, rate := range []float64{2, 6, 10} {
		m := newModel(t, exampleConfig(), rate, 1)
		m.Advance(10 * time.Minute)
		before := read(t, m, "p0").Finished
		inside, samples, stay := 0.0, 0.0, 0.0
		for at := 10 * time.Minute; at <= 4*time.Hour; at += 250 * time.Millisecond {
			m.Advance(at)
			load := read(t, m, "p0")
			inside += float64(load.Waiting + load.Running)
			samples++
			for _, c := range load.Completions {
				stay += c.E2E
			}
		}
		finished := float64(read(t, m, "p0").Finished - before)
		got, want := inside/samples, finished/(samples/4)*(stay/finished)
		if math.Abs(got-want) > 0.02*want {
			t.Errorf("rate %v: %v requests inside on average, rate x time is %v", rate, got, want)
		}
		if per := finished / (samples / 4); math.Abs(per-rate) > 0.05*rate {
			t.Errorf("rate %v: served %v per second", rate, per)
		}
	}
}

// TestUtilizationFollowsLoad is the vision model: prompts only, so it is busy in proportion to its load.
func TestUtilizationFollowsLoad(t *testing.T) {
	config := Config{
		Server:       Server{MaxRunning: 8, TokensPerSecond: 400, PrefillTokensPerSecond: 20000, KVTokens: 50000},
		PromptTokens: 1000, OutputTokens: 1, Seed: 3,
	}
	const each = 1000.0/20000 + 9.0/800 // alone: the prompt and a step of a batch of one
	for _, rate := range []float64{0, 1, 4, 8, 12, 40} {
		m := newModel(t, config, rate, 1)
		m.Advance(time.Hour)
		got, want := read(t, m, "p0").GPUUtilization, min(100, 100*rate*each)
		if math.Abs(got-want) > 0.07*want {
			t.Errorf("at %v requests per second: %v percent, want about %v", rate, got, want)
		}
	}
}

// TestKVCacheIsTheLimit: with room for few requests the batch stays small, the cache full but never over, requests are
// preempted as vLLM does, and all of them are served in the end.
func TestKVCacheIsTheLimit(t *testing.T) {
	config := exampleConfig()
	config.Server.KVTokens = 3000
	config.OutputTokens = 512
	m := newModel(t, config, 3, 1)
	fullest, answered := 0.0, 0
	for at := time.Duration(0); at < 10*time.Minute; at += 100 * time.Millisecond {
		m.Advance(at)
		r := m.byName["p0"]
		load := read(t, m, "p0")
		if used := load.KVCache; used > 100 || load.Running > 5 {
			t.Fatalf("at %v: KV cache %v percent, %d running", at, used, load.Running)
		}
		fullest = max(fullest, load.KVCache)
		answered += len(load.FirstTokens)
		now := *r
		now.settle(m.now)
		if used := now.kvTokens(); used > 3000*(1+1e-9) || used < 0 {
			t.Fatalf("at %v: %v KV tokens of 3000 in use", at, used)
		}
	}
	if fullest < 99 || m.Totals().Preempted == 0 {
		t.Errorf("the cache was at most %v percent full, %d preempted", fullest, m.Totals().Preempted)
	}
	setRate(t, m, 0)
	m.Advance(24 * time.Hour)
	load, totals := read(t, m, "p0"), m.Totals()
	if totals.Completed != totals.Arrived || load.KVCache != 0 || load.Preemptions != int64(totals.Preempted) {
		t.Errorf("after the load: %+v, %+v", totals, load)
	}
	if answered += len(load.FirstTokens); answered != totals.Arrived {
		t.Errorf("%d first tokens for %d requests", answered, totals.Arrived)
	}
	// A preempted request that had not answered computes its first token again, and no other.
	if extra := load.GenerationTokens - 512*load.Finished; extra < -1 || extra > load.Preemptions {
		t.Errorf("%d tokens for %d requests of 512", load.GenerationTokens, load.Finished)
	}
	if load.PromptTokens != 512*load.Finished {
		t.Errorf("%d prompt tokens for %d requests of 512: a recomputed prompt counts once", load.PromptTokens, load.Finished)
	}
}

// TestPreemption: the request admitted last gives way, the first is served as if alone, and no token is told twice.
func TestPreemption(t *testing.T) {
	server := exampleServer
	server.KVTokens = 1000
	trace := []Request{{0, 300, 300}, {0, 300, 400}}
	m := newModel(t, Config{Server: server, Trace: trace}, 0, 1)
	m.Advance(time.Minute)
	load, totals := read(t, m, "p0"), m.Totals()
	if totals.Preempted != 1 || totals.Completed != 2 || load.Completions[0].OutputTokens != 300 {
		t.Fatalf("%+v, completions %+v", totals, load.Completions)
	}
	// The second computes its prompt, and later all that it had, again: 200 tokens when both held 500.
	if load.GenerationTokens != 700 || load.PromptTokens != 600 || load.Preemptions != 1 {
		t.Errorf("counters: %+v", load)
	}
	if first, second := load.Completions[0], load.Completions[1]; second.E2E < first.E2E+200*33.0/4000 {
		t.Errorf("the first took %v s, the preempted one %v s", first.E2E, second.E2E)
	}
}

// TestPreemptionBeforeTheFirstToken: in a cache this small a request can be admitted and lose its place within a token.
// Its first token still comes once.
func TestPreemptionBeforeTheFirstToken(t *testing.T) {
	server := exampleServer
	server.KVTokens = 100
	early := 0
	for i := range 400 {
		second := time.Duration(i) * time.Millisecond
		trace := []Request{{0, 40, 55}, {second, 20, 30}}
		m := newModel(t, Config{Server: server, Trace: trace}, 0, 1)
		for at := second; m.Totals().Preempted == 0 && at < second+2*time.Second; at += time.Millisecond {
			m.Advance(at)
		}
		if r := m.byName["p0"]; r.waiting.len() == 1 && r.waiting.front().prefilled != never && r.waiting.front().answered == never {
			early++
		}
		m.Advance(time.Minute)
		if load := read(t, m, "p0"); len(load.FirstTokens) != 2 || load.Finished != 2 {
			t.Fatalf("the second %v after the first: %d first tokens, %d finished", second, len(load.FirstTokens), load.Finished)
		}
	}
	if early == 0 {
		t.Error("no request was preempted between its prompt and its first token")
	}
}

// TestAloneInTheCache: a request that fills the whole cache is never preempted, whatever rounding says.
func TestAloneInTheCache(t *testing.T) {
	server := exampleServer
	server.KVTokens = 1009
	trace := make([]Request, 1000)
	for i := range trace {
		trace[i] = Request{At: time.Duration(i) * 10007 * time.Millisecond, PromptTokens: 1 + i, OutputTokens: 1008 - i}
	}
	m := newModel(t, Config{Server: server, Trace: trace}, 0, 1)
	m.Advance(24 * time.Hour)
	if totals := m.Totals(); totals.Preempted != 0 || totals.Completed != len(trace) {
		t.Errorf("%+v", totals)
	}
}

// TestOneTokenEach: the first token of a request of one is also its last.
func TestOneTokenEach(t *testing.T) {
	config := exampleConfig()
	config.OutputTokens = 1
	m := newModel(t, config, 30, 1)
	m.Advance(10 * time.Minute)
	load := read(t, m, "p0")
	if len(load.FirstTokens) != len(load.Completions) || len(load.Completions) < 10_000 {
		t.Fatalf("%d first tokens, %d completions", len(load.FirstTokens), len(load.Completions))
	}
	for i, c := range load.Completions {
		near(t, "end to end", c.E2E, load.FirstTokens[i])
	}
}

// TestBatchLimit: never more than MaxRunning in the batch, never more tokens than the configured rate.
func TestBatchLimit(t *testing.T) {
	for _, server := range []Server{exampleServer, {1, 50, 5000, 4000}, {256, 6000, 40000, 60000}} {
		m := newModel(t, Config{Server: server, PromptTokens: 200, OutputTokens: 200, Seed: 9}, 40, 1)
		for at := tick; at <= 20*time.Minute; at += tick {
			m.Advance(at)
			load := read(t, m, "p0")
			if load.Running > server.MaxRunning {
				t.Fatalf("%d running of at most %d", load.Running, server.MaxRunning)
			}
			if load.TokensPerSecond > server.TokensPerSecond*(1+1e-9) {
				t.Fatalf("%v tokens per second of at most %v", load.TokensPerSecond, server.TokensPerSecond)
			}
		}
	}
}
