package serving

import (
	"fmt"
	"testing"
	"time"
)

const tick = 15 * time.Second

// exampleServer is the server of the scenario format's own example. With requests of 512 + 128 tokens it can serve
// 1/(512/20000 + 128/2000) = 11.2 of them per second.
var exampleServer = Server{MaxRunning: 32, TokensPerSecond: 2000, PrefillTokensPerSecond: 20000, KVTokens: 200000}

func exampleConfig() Config {
	return Config{Server: exampleServer, PromptTokens: 512, OutputTokens: 128, Seed: 1}
}

// newModel returns a model with ready replicas p0, p1, … at a rate.
func newModel(t testing.TB, c Config, rate float64, replicas int) *Model {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Trace == nil {
		setRate(t, m, rate)
	}
	setReplicas(t, m, names(replicas)...)
	return m
}

func setReplicas(t testing.TB, m *Model, ready ...string) {
	t.Helper()
	if err := m.SetReplicas(ready); err != nil {
		t.Fatal(err)
	}
}

func setRate(t testing.TB, m *Model, rate float64) {
	t.Helper()
	if err := m.SetRate(rate); err != nil {
		t.Fatal(err)
	}
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("p%d", i)
	}
	return out
}

func read(t testing.TB, m *Model, name string) Load {
	t.Helper()
	load, ok := m.Read(name)
	if !ok {
		t.Fatalf("no replica %s", name)
	}
	return load
}
