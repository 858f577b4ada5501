package serving

import (
	"math"
	"testing"
	"time"
)

// FuzzModel throws any configuration, rate and history at a model: it refuses them, or every number that comes out can be.
func FuzzModel(f *testing.F) {
	f.Add(32, 2000.0, 20000.0, 200000, 512, 128, uint64(1), 20.0, []byte{1, 60, 2, 60, 0, 60, 3, 60})
	f.Add(1, 0.001, 0.001, 2, 1, 1, uint64(2), 10.0, []byte{1, 255, 5, 255})
	f.Add(65536, 1e7, 1e8, 1_000_000_000, 1, 10_000_000, uint64(3), 100.0, []byte{7, 200, 1, 200})
	f.Add(8, 400.0, 1e8, 40, 1, 39, uint64(4), 100.0, []byte{1, 10, 3, 200, 2, 30})
	f.Add(4, math.NaN(), math.Inf(1), -1, 0, 0, uint64(5), math.NaN(), []byte{1, 1})
	f.Fuzz(func(t *testing.T, running int, decode, prefill float64, kv, prompt, output int, seed uint64, rate float64, history []byte) {
		m, err := New(Config{
			Server:       Server{MaxRunning: running, TokensPerSecond: decode, PrefillTokensPerSecond: prefill, KVTokens: kv},
			PromptTokens: prompt, OutputTokens: output, Seed: seed,
		})
		if err != nil {
			return
		}
		if err := m.SetRate(rate); err != nil || rate > 1000 || len(history) > 40 {
			return // the rest would only take long
		}
		now := time.Duration(0)
		for i := 0; i+1 < len(history); i += 2 {
			setReplicas(t, m, names(int(history[i]%8))...)
			now += time.Duration(history[i+1]) * 20 * time.Millisecond
			m.Advance(now)
			checkTotals(t, m)
			for _, r := range m.replicas {
				checkLoad(t, m.server, read(t, m, r.name))
			}
		}
		score := m.Score(SLO{TTFT: time.Second})
		checkNumber(t, "sloAttainment", score.SLOAttainment, 1)
		checkNumber(t, "ttftP50", score.TTFTP50, now.Seconds())
		checkNumber(t, "ttftP99", score.TTFTP99, now.Seconds())
	})
}

func checkLoad(t *testing.T, server Server, load Load) {
	t.Helper()
	const rounding = 1 + 1e-6
	checkNumber(t, "running", float64(load.Running), float64(server.MaxRunning))
	checkNumber(t, "KV cache", load.KVCache, 100)
	checkNumber(t, "utilization", load.GPUUtilization, 100)
	checkNumber(t, "tokens per second", load.TokensPerSecond, server.TokensPerSecond*rounding)
	checkNumber(t, "requests per second", load.RequestsPerSecond, math.MaxFloat64)
	for _, q := range []Quantile{load.TTFT(), load.QueueTime(), load.InterToken()} {
		checkNumber(t, "quantile", q.P95, math.MaxFloat64)
	}
	for _, c := range load.Completions {
		for _, v := range []float64{c.QueueTime, c.Prefill, c.Decode, c.E2E, c.InterToken} {
			checkNumber(t, "latency", v, math.MaxFloat64)
		}
	}
}

// checkNumber refuses NaN, too: it is neither above nor below anything.
func checkNumber(t *testing.T, what string, value, highest float64) {
	t.Helper()
	if !(value >= 0 && value <= highest) {
		t.Fatalf("%s is %v, want 0 to %v", what, value, highest)
	}
}
