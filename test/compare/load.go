package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// server is what every replica can do, and promptTokens and outputTokens the size of every request that is not from a trace. A
// full replica serves 5.6 such requests a second.
var server = serving.Server{MaxRunning: 32, TokensPerSecond: 2000, PrefillTokensPerSecond: 20000, KVTokens: 200000}

const (
	promptTokens = 1024
	outputTokens = 256
)

// load is how requests arrive. A seed gives one course of it.
type load struct {
	name     string
	duration time.Duration
	// requests builds the arrivals.
	requests func(seed uint64) (*simulate.Load, error)
	// rise is when the load begins to exceed what it was: the moment at which a hazard hurts.
	rise func(seed uint64) time.Duration
}

// rateStep is how long a rate of the built-in loads holds.
const rateStep = 10 * time.Second

// shaped is a load that follows a function of time.
func shaped(name string, duration time.Duration, rise func(seed uint64) time.Duration, rate func(seed uint64, at time.Duration) float64) load {
	return load{name: name, duration: duration, rise: rise, requests: func(seed uint64) (*simulate.Load, error) {
		var text strings.Builder
		for at := time.Duration(0); at <= duration; at += rateStep {
			fmt.Fprintf(&text, "%.3fx%d ", rate(seed, at), rateStep/worldTick-1)
		}
		series, err := simulate.ParseSeries(text.String())
		if err != nil {
			return nil, fmt.Errorf("building the load %s: %w", name, err)
		}
		return &simulate.Load{
			Serving:           serving.Config{Server: server, PromptTokens: promptTokens, OutputTokens: outputTokens, Seed: seed},
			RequestsPerSecond: series,
		}, nil
	}}
}

// builtin are the loads that need no trace.
func builtin() []load {
	return []load{
		shaped("step", time.Hour, always(10*time.Minute), stepRate),
		shaped("ramp", time.Hour, always(15*time.Minute), rampRate),
		shaped("wave", 2*time.Hour, always(30*time.Minute), waveRate),
		shaped("spikes", time.Hour, func(seed uint64) time.Duration { return spikeStart(seed, 1) }, spikesRate),
	}
}

// always is the same for every seed.
func always(d time.Duration) func(uint64) time.Duration {
	return func(uint64) time.Duration { return d }
}

// stepRate needs one replica, then half an hour long about seven, then one again.
func stepRate(_ uint64, at time.Duration) float64 {
	if at >= 10*time.Minute && at < 40*time.Minute {
		return 36
	}
	return 6
}

// rampRate rises for a quarter of an hour, holds, and falls as slowly.
func rampRate(_ uint64, at time.Duration) float64 {
	minute := at.Minutes()
	switch {
	case minute < 10:
		return 4
	case minute < 25:
		return 4 + 36*(minute-10)/15
	case minute < 40:
		return 40
	case minute < 55:
		return 40 - 36*(minute-40)/15
	}
	return 4
}

// waveRate is a day in two hours: night, noon, night.
func waveRate(_ uint64, at time.Duration) float64 { return 20 - 16*math.Cos(math.Pi*at.Hours()) }

// The spikes: five an hour, three minutes each, at times that nobody can know.
const (
	spikes      = 5
	spikeLength = 3 * time.Minute
)

// spikeStart is when the k-th spike begins: every twelve minutes, give or take two.
func spikeStart(seed uint64, k int) time.Duration {
	random := rand.New(rand.NewPCG(seed, uint64(k)))
	return 6*time.Minute + time.Duration(k)*12*time.Minute + time.Duration(random.IntN(25)-12)*rateStep
}

func spikesRate(seed uint64, at time.Duration) float64 {
	for k := range spikes {
		if start := spikeStart(seed, k); at >= start && at < start+spikeLength {
			return 40
		}
	}
	return 8
}
