package fleet

import (
	"math"
	"slices"
)

// Histogram counts observations in buckets, as Prometheus client libraries do. It is not safe for concurrent use.
type Histogram struct {
	// bounds are the upper bounds, inclusive, without +Inf; counts are not cumulative and hold one more, for +Inf.
	bounds []float64
	counts []float64
	sum    float64
}

// NewHistogram returns an empty histogram with these upper bounds, ascending, +Inf left out.
func NewHistogram(bounds []float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]float64, len(bounds)+1)}
}

// Observe counts a value n times.
func (h *Histogram) Observe(value, n float64) {
	i, _ := slices.BinarySearch(h.bounds, value)
	h.counts[i] += n
	h.sum += value * n
}

// Clone returns a copy that later observations leave alone.
func (h *Histogram) Clone() *Histogram {
	if h == nil {
		return nil
	}
	return &Histogram{bounds: h.bounds, counts: slices.Clone(h.counts), sum: h.sum}
}

// bucket is one cumulative bucket.
type bucket struct{ bound, count float64 }

// buckets returns the cumulative buckets, +Inf last, in whole observations: rates may have left fractions.
func (h *Histogram) buckets() []bucket {
	out := make([]bucket, 0, len(h.counts))
	total := 0.0
	for i, n := range h.counts {
		total += n
		bound := math.Inf(1)
		if i < len(h.bounds) {
			bound = h.bounds[i]
		}
		out = append(out, bucket{bound: bound, count: math.Floor(total + 1e-9)})
	}
	return out
}

// Bucket bounds of vLLM's histograms.
var (
	ttftBounds = []float64{
		0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
	}
	interTokenBounds = []float64{
		0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
	}
	requestBounds = []float64{
		0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
	}
	// tokenBounds are those of a model with a context of 32768 tokens: 1, 2, 5, 10 and so on up to it.
	tokenBounds = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000}
)

// newEngineLoad returns the counts of an engine that has served nothing.
func newEngineLoad() EngineLoad {
	return EngineLoad{
		TTFT: NewHistogram(ttftBounds), InterToken: NewHistogram(interTokenBounds), QueueTime: NewHistogram(requestBounds),
		Prefill: NewHistogram(requestBounds), Decode: NewHistogram(requestBounds), E2E: NewHistogram(requestBounds),
		RequestPromptTokens: NewHistogram(tokenBounds), RequestGenerationTokens: NewHistogram(tokenBounds),
	}
}

// clone returns a copy that later observations leave alone.
func (l EngineLoad) clone() EngineLoad {
	for _, h := range []**Histogram{
		&l.TTFT, &l.InterToken, &l.QueueTime, &l.Prefill, &l.Decode, &l.E2E, &l.RequestPromptTokens, &l.RequestGenerationTokens,
	} {
		*h = (*h).Clone()
	}
	return l
}
