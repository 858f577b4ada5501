package serving

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// arrivals says when requests come and how large they are.
type arrivals interface {
	// next is the time of the next request in seconds, +Inf if there is none in sight.
	next() float64
	// take removes the next request and returns its size.
	take() (prompt, output int)
}

// pcgStream is the second word of the generator's seed, so that equal seeds elsewhere do not give equal streams.
const pcgStream = 0x736572766963696e

// poisson is a Poisson process whose rate may change at any time. It draws a unit of exponential patience and lets the
// rate consume it: a change of rate stretches what is left and draws nothing, so that when the model is advanced, and in
// how many pieces, has no influence on the arrivals.
type poisson struct {
	random         *rand.Rand
	prompt, output int
	rate           float64 // requests per second
	since          float64 // the time, in seconds, at which left was true
	left           float64 // patience left at that time
}

func newPoisson(seed uint64, prompt, output int) *poisson {
	random := rand.New(rand.NewPCG(seed, pcgStream))
	return &poisson{random: random, prompt: prompt, output: output, left: random.ExpFloat64()}
}

func (p *poisson) next() float64 {
	if p.rate == 0 {
		return math.Inf(1)
	}
	return p.since + p.left/p.rate
}

func (p *poisson) take() (prompt, output int) {
	p.since = p.next()
	p.left = p.random.ExpFloat64()
	return p.prompt, p.output
}

// setRate changes the rate at a time that no taken arrival is later than.
func (p *poisson) setRate(rate, now float64) {
	if rate == p.rate {
		return // nothing to round anew
	}
	p.left = max(0, p.left-p.rate*(now-p.since))
	p.since, p.rate = now, rate
}

// replay is a trace being played.
type replay struct {
	requests []Request
	speed    float64
	played   int
}

func newReplay(trace []Request, speed float64) *replay {
	requests := slices.Clone(trace)
	slices.SortStableFunc(requests, func(a, b Request) int { return cmp.Compare(a.At, b.At) })
	if speed == 0 {
		speed = 1
	}
	return &replay{requests: requests, speed: speed}
}

func (r *replay) next() float64 {
	if r.played == len(r.requests) {
		return math.Inf(1)
	}
	return r.requests[r.played].At.Seconds() / r.speed
}

func (r *replay) take() (prompt, output int) {
	q := r.requests[r.played]
	r.played++
	return q.PromptTokens, q.OutputTokens
}
