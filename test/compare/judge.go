package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The criterion: at startup times from slow on, ours is undominated in nine of ten cells, and nowhere more than a point of SLO
// attainment below the best rival that takes no more GPU-hours.
const (
	wantUndominated = 0.9
	mostBelow       = 0.01
)

// best is the setting of an arm in a cell that served best: by SLO attainment, to a tenth of a point, and of equals the one
// with the fewest GPU-hours.
func best(settings []result) result {
	return slices.MinFunc(settings, func(a, b result) int {
		return cmp.Or(
			cmp.Compare(tenths(b.attainment), tenths(a.attainment)),
			cmp.Compare(a.gpuHours, b.gpuHours),
		)
	})
}

// tenths is an attainment in tenths of a point.
func tenths(attainment float64) float64 { return math.Round(attainment * 1000) }

// dominates reports whether a is as good as b in both, and better in one.
func (o *outcome) dominates(b *outcome) bool {
	return o.attainment >= b.attainment && o.gpuHours <= b.gpuHours && (o.attainment > b.attainment || o.gpuHours < b.gpuHours)
}

// verdict is how ours does against a choice of rivals.
type verdict struct {
	// cells are those that count, undominated those in which no rival is better in both.
	cells, undominated int
	// below is the most that ours is below a rival of no more GPU-hours, in SLO attainment, where that is.
	below      float64
	belowWhere string
	// lost tells of each cell in which the criterion does not hold, and who is better.
	lost []string
}

// holds reports whether the criterion holds.
func (v *verdict) holds() bool {
	return float64(v.undominated) >= wantUndominated*float64(v.cells) && v.below <= mostBelow
}

// String sums the verdict up.
func (v *verdict) String() string {
	word := "holds"
	if !v.holds() {
		word = "does not hold"
	}
	return fmt.Sprintf("undominated in %d of %d cells (%.0f %%); at most %.2f points of SLO attainment below a rival of no more GPU-hours%s: %s",
		v.undominated, v.cells, 100*float64(v.undominated)/float64(max(v.cells, 1)), 100*v.below, v.belowWhere, word)
}

// chosen is each rival at its best setting of the cell.
func chosen(c *comparison) []result {
	var list []result
	for _, settings := range c.results[1:] {
		list = append(list, best(settings))
	}
	return list
}

// every is each rival at every setting: as if somebody had known beforehand what fits the cell.
func every(c *comparison) []result { return slices.Concat(c.results[1:]...) }

// judge compares ours, which is the first arm, with the rivals that are picked of each cell.
func judge(comparisons []comparison, pick func(*comparison) []result) verdict {
	var v verdict
	for i := range comparisons {
		if comparisons[i].cell.startup >= slow {
			v.add(&comparisons[i], pick(&comparisons[i]))
		}
	}
	return v
}

// add judges one cell.
func (v *verdict) add(c *comparison, rivals []result) {
	own := &c.results[0][0]
	v.cells++
	var dominated string
	below, by := 0.0, ""
	for i := range rivals {
		r := &rivals[i]
		if r.gpuHours <= own.gpuHours && r.attainment-own.attainment > below {
			below, by = r.attainment-own.attainment, r.tell()
		}
		if dominated == "" && r.dominates(&own.outcome) {
			dominated = r.tell()
		}
	}
	switch {
	case dominated == "":
		v.undominated++
	case by != "":
		dominated = by // the one that serves best
	}
	if below > v.below {
		v.below, v.belowWhere = below, fmt.Sprintf(" (%v)", &c.cell)
	}
	if dominated != "" || below > mostBelow {
		v.lost = append(v.lost, fmt.Sprintf("%v: ours %s; %s", &c.cell, own.numbers(), dominated))
	}
}

// tell names a result with its numbers.
func (r *result) tell() string { return fmt.Sprintf("%s (%s) %s", r.arm, r.setting, r.numbers()) }

// numbers are what dominates.
func (o *outcome) numbers() string {
	return fmt.Sprintf("%.2f %% in %.2f GPU-hours", 100*o.attainment, o.gpuHours)
}
