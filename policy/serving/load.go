package serving

import (
	"math"
	"slices"
)

// Load is a reading of one replica. Rates and the utilization are means over the time since the previous reading of that
// replica, or since it became ready; counters count from when it became ready.
type Load struct {
	// Waiting requests are in its queue, Running ones in its batch.
	Waiting, Running int
	// KVCache is the share of the KV cache in use, in percent, 0 to 100.
	KVCache float64
	// GPUUtilization is the share of the time in which it had a batch, in percent, 0 to 100.
	GPUUtilization float64
	// TokensPerSecond are tokens generated, RequestsPerSecond requests finished, per second.
	TokensPerSecond, RequestsPerSecond float64

	// PromptTokens, GenerationTokens, Finished and Preemptions are counters.
	PromptTokens, GenerationTokens, Finished, Preemptions int64

	// FirstTokens are the times to first token, in seconds from when the request reached the replica, of the requests
	// whose first token came since the previous reading; Completions are the requests that finished since then. Both are
	// in order of time, and remain the reader's own.
	FirstTokens []float64
	Completions []Completion

	// The same over the trailing window.
	recentFirstTokens []float64
	recentCompletions []Completion
}

// TTFT is the 95th percentile of the times to first token, as FirstTokens has them, over the trailing window.
func (l Load) TTFT() Quantile { return quantileOf(slices.Clone(l.recentFirstTokens)) }

// QueueTime is the 95th percentile of the queue times of the requests that finished within the trailing window.
func (l Load) QueueTime() Quantile {
	values := make([]float64, 0, len(l.recentCompletions))
	for _, c := range l.recentCompletions {
		values = append(values, c.QueueTime)
	}
	return quantileOf(values)
}

// InterToken is the 95th percentile of the mean gaps between tokens of the requests that finished within the trailing
// window. It leaves out those of a single token, which have no gap.
func (l Load) InterToken() Quantile {
	values := make([]float64, 0, len(l.recentCompletions))
	for _, c := range l.recentCompletions {
		if c.OutputTokens > 1 {
			values = append(values, c.InterToken)
		}
	}
	return quantileOf(values)
}

// Quantile is a latency over a window.
type Quantile struct {
	// P95 is the 95th percentile in seconds, 0 if Count is 0.
	P95 float64
	// Count is how many requests it was taken from. With none there is no latency: that is neither fast nor missing.
	Count int
}

// Completion is what a replica knows of a request that it finished: vLLM's per-request latencies, in seconds. They begin
// when the request reached this replica, not when it reached the gateway.
type Completion struct {
	// QueueTime ends, and Prefill begins, with the first admission to the batch; Decode begins when the prompt was
	// computed; E2E is their sum.
	QueueTime, Prefill, Decode, E2E float64
	// InterToken is the mean gap between two tokens of this request, of which it has OutputTokens-1; 0 if it has none.
	InterToken float64
	// PromptTokens and OutputTokens are its size.
	PromptTokens, OutputTokens int
}

// p95 is the quantile of the latency signals.
const p95 = 0.95

// reading is what a reading is compared with by the next.
type reading struct {
	at, busy, decoded float64
	finished          int64
	load              Load
}

// read takes a reading at time now, not after the next event. Two at the same time are one: the second has no time to
// take rates over, so it repeats the first, without the requests already told.
func (r *replica) read(now, window float64) Load {
	then := *r
	then.settle(now)
	was := &r.previous
	load := was.load
	load.Waiting, load.Running = r.waiting.len(), r.running()
	load.KVCache = percent(then.kvTokens(), float64(r.server.KVTokens))
	if elapsed := now - was.at; elapsed > 0 {
		load.GPUUtilization = percent(then.busy-was.busy, elapsed)
		load.TokensPerSecond = (then.decoded - was.decoded) / elapsed
		load.RequestsPerSecond = float64(r.finished-was.finished) / elapsed
	}
	load.PromptTokens, load.Finished, load.Preemptions = r.promptTokens, r.finished, r.preemptions
	load.GenerationTokens = int64(math.Floor(then.decoded + wholeToken))

	load.FirstTokens, load.recentFirstTokens = r.answers.read(now - window)
	load.Completions, load.recentCompletions = r.completions.read(now - window)
	r.previous = reading{at: now, busy: then.busy, decoded: then.decoded, finished: r.finished, load: load}
	return load
}

// wholeToken keeps a token that rounding left a hair short from being missed by the counter.
const wholeToken = 1e-6

func percent(part, whole float64) float64 { return min(100, max(0, 100*part/whole)) }

// quantileOf reorders values.
func quantileOf(values []float64) Quantile {
	return Quantile{P95: percentile(values, p95), Count: len(values)}
}

// history keeps values for one reader, and for as long as a window looks back. What it has given away is never written
// to again: it only grows at its end and is cut at its beginning.
type history[T any] struct {
	times  []float64
	values []T
	told   int
}

func (h *history[T]) add(at float64, value T) {
	if n := len(h.values); n == cap(h.values) { // room for more than append gives: what was read is cut off, not reused
		h.times, h.values = slices.Grow(h.times, 3*n+16), slices.Grow(h.values, 3*n+16)
	}
	h.times = append(h.times, at)
	h.values = append(h.values, value)
}

// read returns the values not told before and those later than since, and forgets the others.
func (h *history[T]) read(since float64) (fresh, recent []T) {
	n := len(h.values)
	fresh = h.values[h.told:n:n]
	first := 0
	for first < n && h.times[first] <= since {
		first++
	}
	h.times, h.values, h.told = h.times[first:], h.values[first:], n-first
	return fresh, h.values[: n-first : n-first]
}
