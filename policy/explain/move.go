package explain

import (
	"math"

	"github.com/gpuscaler/gpuscaler/policy"
)

// move is what is read of one signal, and how it can be moved: in whole grains, spread over the samples so that none leaves its range.
type move struct {
	seen    *policy.Observation // with the reading as it is
	reading int                 // its position there
	counts  []int               // the samples that count, by position; nil for a workload signal
	// additive says that the pods' readings add up to something, such as requests, that people count in all.
	additive bool
	// sum and most are what the samples read together, and could.
	sum, most float64
	// max is the largest value of one sample, 0 if there is none.
	max float64
	// exponent is that of the grain: 10 to it, of the sum if additive, else of the mean.
	exponent int
}

// newMove returns how a reading of an observation can be moved; nil if it cannot, as nothing in it counts.
func newMove(in *policy.Input, seen *policy.Observation, reading int) *move {
	probe := *in
	probe.Seen = *seen
	d, next := probe.Decide()
	r := &seen.Readings[reading]
	info, _ := r.Signal.Info()
	m := &move{seen: seen, reading: reading, max: info.Max}
	switch {
	case r.Problem != "" || r.PerWorkload && !r.Workload.OK:
		return nil
	case r.PerWorkload:
		m.sum = r.Workload.Value
	default:
		for i, standing := range d.Standings(&in.Spec, &next, seen, r) {
			if standing == policy.Sampled {
				m.counts = append(m.counts, i)
				m.sum += r.Samples[i].Value
			}
		}
		if len(m.counts) == 0 {
			return nil
		}
	}
	switch r.Signal {
	case policy.QueueDepth, policy.RunningRequests, policy.TokensPerSecond, policy.RequestsPerSecond:
		m.additive = true
	}
	m.scale(in, r.Signal)
	return m
}

// scale chooses the grain, and how far to go, by what the signal is compared with.
func (m *move) scale(in *policy.Input, signal policy.Signal) {
	scale := max(m.mean(), m.max/10)
	for _, t := range in.Spec.Targets {
		if t.Signal == signal {
			scale = max(t.Value, m.mean())
		}
	}
	for _, s := range in.Spec.Steps {
		for _, b := range s.Bands {
			if s.Signal == signal {
				scale = max(scale, b.Threshold)
			}
		}
	}
	if scale == 0 {
		scale = 1
	}
	m.most = 2 * scale * float64(in.Spec.MaxReplicas+len(in.Seen.Pods)+2)
	if m.max > 0 {
		m.most = m.max * m.n()
	}
	m.exponent = max(int(math.Floor(math.Log10(scale)))-2, -3)
	switch {
	case signal == policy.QueueDepth || signal == policy.RunningRequests:
		m.exponent = 0 // requests are whole
	case m.additive:
		m.exponent++
	}
}

// n is how many samples count.
func (m *move) n() float64 { return max(float64(len(m.counts)), 1) }

func (m *move) mean() float64 { return m.sum / m.n() }

// shown is a mean of so many samples as policy tells it, in whole thousandths.
func (m *move) shown(sum float64) float64 { return math.Floor(sum/m.n()*1000+1e-6) / 1000 }

// grains is a number of grains as a value. It divides where a factor would not be exact.
func (m *move) grains(n float64) float64 {
	if m.exponent < 0 {
		return n / math.Pow10(-m.exponent)
	}
	return n * math.Pow10(m.exponent)
}

// whole is a value as a number of grains.
func (m *move) whole(v float64) float64 {
	if m.exponent < 0 {
		return v * math.Pow10(-m.exponent)
	}
	return v / math.Pow10(m.exponent)
}

// to returns the sum after n grains up or, negative, down; ok is false beyond what can be. A mean is moved to the next multiples of the
// grain, so that the one that is told is exactly the one that was tried.
func (m *move) to(n int) (sum float64, ok bool) {
	switch {
	case m.additive:
		sum = m.sum + m.grains(float64(n))
	case n > 0:
		sum = m.grains(math.Floor(m.whole(m.mean())+1e-9)+float64(n)) * m.n()
	default:
		sum = m.grains(math.Ceil(m.whole(m.mean())-1e-9)+float64(n)) * m.n()
	}
	const slack = 1e-9
	if sum > m.most*(1+slack) || sum < -slack*m.most {
		return 0, false
	}
	return min(max(sum, 0), m.most), true
}

// apply is the observation with the samples moved to a sum: each by its part of the way to its end. In thousandths the sum is exact, so that
// whoever has all pods read the mean that is told has the same outcome.
func (m *move) apply(sum float64, to *policy.Observation) {
	m.seen.CloneInto(to)
	r := &to.Readings[m.reading]
	if r.PerWorkload {
		r.Workload.Value = sum
		return
	}
	left := math.Round(sum * 1000)
	moved := make([]float64, len(m.counts)) // in thousandths
	for j, i := range m.counts {
		moved[j] = math.Floor(m.moved(r.Samples[i].Value, sum)*1000 + 1e-6)
		left -= moved[j]
	}
	for j, i := range m.counts {
		if left > 0 && (m.max == 0 || moved[j] < m.max*1000) {
			moved[j]++
			left--
		}
		r.Samples[i].Value = moved[j] / 1000
	}
}

// moved is where one sample goes.
func (m *move) moved(v, sum float64) float64 {
	switch {
	case sum <= m.sum && m.sum > 0:
		return v * sum / m.sum
	case m.max > 0 && m.max*m.n() > m.sum:
		return v + (m.max-v)*(sum-m.sum)/(m.max*m.n()-m.sum)
	}
	return v + (sum-m.sum)/m.n()
}
