package explain

import "github.com/gpuscaler/gpuscaler/policy"

// mostGrains bounds the search: no quantity of work is so many.
const mostGrains = 1 << 40

// search finds the least number of grains at which something is so, and which it is not at one grain less. It doubles and then bisects:
// where more and less alternate it finds one such place, not always the first.
func search(is func(grains int) (result event, so, possible bool)) (grains int, result event, found bool) {
	low, high := 0, 1
	for {
		e, so, possible := is(high)
		if so {
			result = e
			break
		}
		if !possible {
			// Beyond its range: look between the last one that was possible and this.
			if high = farthest(low, high, is); high == low {
				return 0, event{}, false
			}
			if result, so, _ = is(high); !so {
				return 0, event{}, false
			}
			break
		}
		if low, high = high, 2*high; high > mostGrains {
			return 0, event{}, false
		}
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		if e, so, _ := is(middle); so {
			high, result = middle, e
		} else {
			low = middle
		}
	}
	return high, result, true
}

// farthest is the largest number of grains that is possible: low is, high is not.
func farthest(low, high int, is func(int) (event, bool, bool)) int {
	for high-low > 1 {
		middle := low + (high-low)/2
		if _, _, possible := is(middle); possible {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// smallest finds the smallest move of a reading up (+1) or down (-1) after which what is seen departs from the usual.
func (f *future) smallest(m *move, direction int, departs func(*policy.Observation) (event, bool)) (sum float64, first event, found bool) {
	var trial policy.Observation
	grains, first, found := search(func(n int) (event, bool, bool) {
		sum, possible := m.to(direction * n)
		if !possible {
			return event{}, false, false
		}
		m.apply(sum, &trial)
		e, so := departs(&trial)
		return e, so, true
	})
	if !found {
		return 0, event{}, false
	}
	sum, _ = m.to(direction * grains)
	return sum, first, true
}
