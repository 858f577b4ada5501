package conformance

import (
	"math/rand/v2"
)

// load draws the readings of one signal from tick to tick.
type load struct {
	kind loadKind
	// level is the mean per pod relative to the target, or the load of the whole workload in replicas, see kind.
	level float64
	step  float64
	noise float64
	burst int // ticks that the present burst still lasts
}

// loadKind is how a load moves.
type loadKind int

const (
	walk    loadKind = iota // the whole load wanders, and more pods share it
	burst                   // the same, with bursts
	deaf                    // the load per pod wanders whatever the number of pods
	border                  // the load per pod is where the tolerance ends, or next to it
	erratic                 // any load at any time
	loadKinds
)

// newLoad draws how a signal moves.
func newLoad(rng *rand.Rand) load {
	return load{
		kind:  loadKind(rng.IntN(int(loadKinds))),
		level: rng.Float64() * 20,
		step:  pick(rng, 0.05, 0.2, 1),
		noise: pick(rng, 0, 0.02, 0.5),
	}
}

// next returns the total, in thousandths, that n pods read together at this tick.
func (l *load) next(s *scenario, target, n int) int {
	rng := s.rng
	perPod := float64(target)
	switch l.kind {
	case walk, burst:
		l.level = max(0, l.level*(1+l.step*0.3*rng.NormFloat64())+l.step*rng.NormFloat64()*0.3)
		l.level = min(l.level, float64(2*s.spec.MaxReplicas))
		total := l.level
		if l.kind == burst {
			if l.burst--; l.burst < -5 && rng.Float64() < 0.1 {
				l.burst = rng.IntN(8)
			}
			if l.burst > 0 {
				total = 5 + 4*total
			}
		}
		return int(total * perPod)
	case deaf:
		if l.level = max(0, l.level+0.2*l.step*rng.NormFloat64()); l.level > 3 {
			l.level = 2 * rng.Float64()
		}
		return int(l.level * perPod * float64(n))
	case border:
		milli := pick(rng, 1000, 1000+s.tolerances[0], 1000-s.tolerances[1])
		return target*milli*n/1000 + pick(rng, 0, 0, -1, 1, n-1, n, -n, 1-n)
	default:
		return int(rng.Float64() * 3 * pick(rng, 0, 0.3, 1, 4) * perPod * float64(n))
	}
}

// share divides a total among n pods, noisily, and returns thousandths that are not negative and at most most, if most
// is above 0.
func (l *load) share(rng *rand.Rand, total, n, most int) []int64 {
	values := make([]int64, n)
	rest := max(total, 0)
	for i := range values {
		even := rest / (n - i)
		part := even
		if i < n-1 && l.noise > 0 {
			part = min(rest, max(0, int(float64(even)*(1+l.noise*rng.NormFloat64()))))
		}
		if i == n-1 {
			part = rest
		}
		rest -= part
		if most > 0 {
			part = min(part, most)
		}
		values[i] = int64(part)
	}
	return values
}
