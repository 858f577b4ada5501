package report

import (
	"math"
	"slices"
)

// Sum adds values up.
func Sum(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum
}

// Quantile returns the smallest value that at least the share q (0 to 1) of the values does not exceed, so always one that was
// measured; NaN of none. The values may be in any order.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	// The product is rounded up, but not where it is above a whole number only because floats are inexact.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Move is a change of a Deployment's replicas.
type Move struct{ From, To int }

// Reversals counts the moves that go the other way than the one before. Moves that change nothing count as none.
func Reversals(moves []Move) int {
	n, last := 0, 0
	for _, m := range moves {
		direction := sign(m.To - m.From)
		if direction == 0 {
			continue
		}
		if last == -direction {
			n++
		}
		last = direction
	}
	return n
}

// Wrong tells whether a move leads away from the replicas that the load needs: to fewer when no fewer are needed, or to more when no
// more are.
func (m Move) Wrong(needed int) bool {
	return m.To < m.From && needed >= m.From || m.To > m.From && needed <= m.From
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
