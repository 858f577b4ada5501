package serving

import (
	"testing"
	"time"
)

// BenchmarkAdvance is a simulated day: 20 requests per second on 10 replicas, every replica read at every tick of 15 s.
func BenchmarkAdvance(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m := newModel(b, Config{Server: exampleServer, PromptTokens: 512, OutputTokens: 128, Seed: 1}, 20, 10)
		for t := tick; t <= 24*time.Hour; t += tick {
			m.Advance(t)
			for _, r := range m.replicas {
				m.Read(r.name)
			}
		}
		if s := m.Score(SLO{TTFT: time.Second}); s.Requests < 1_700_000 {
			b.Fatalf("%d requests in a day at 20 per second", s.Requests)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/day")
}
