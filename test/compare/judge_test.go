package compare

import (
	"strings"
	"testing"
	"time"
)

// against is a cell of one minute startup with ours and one rival of some settings.
func against(own outcome, rival ...outcome) comparison {
	c := comparison{cell: cell{load: load{name: "test"}, startup: time.Minute, hazard: calm}}
	c.results = [][]result{{{arm: "ours", outcome: own}}, nil}
	for _, o := range rival {
		c.results[1] = append(c.results[1], result{arm: "rival", outcome: o})
	}
	return c
}

func point(attainment, gpuHours float64) outcome {
	return outcome{attainment: attainment, gpuHours: gpuHours}
}

// TestBest: the attainment counts to a tenth of a point, then the GPU-hours.
func TestBest(t *testing.T) {
	c := against(point(0, 0), point(0.95, 3), point(0.9904, 5), point(0.9901, 4), point(0.98, 2))
	if got := best(c.results[1]).gpuHours; got != 4 {
		t.Errorf("got the setting of %v GPU-hours, want that of 4", got)
	}
}

// TestJudge: who is better, and by how much.
func TestJudge(t *testing.T) {
	own := point(0.95, 10)
	for _, test := range []struct {
		name        string
		rival       outcome
		undominated int
		below       float64
		holds       bool
	}{
		{name: "better and dearer", rival: point(0.99, 10.1), undominated: 1, holds: true},
		{name: "worse and cheaper", rival: point(0.94, 1), undominated: 1, holds: true},
		{name: "the same", rival: own, undominated: 1, holds: true},
		{name: "a little better at the same cost", rival: point(0.955, 10), below: 0.005},
		{name: "as good and cheaper", rival: point(0.95, 9)},
		{name: "much better at the same cost", rival: point(0.97, 10), below: 0.02},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := judge([]comparison{against(own, test.rival)}, chosen)
			if v.cells != 1 || v.undominated != test.undominated || v.holds() != test.holds {
				t.Errorf("got %v, want %d of 1 undominated, holds %v", &v, test.undominated, test.holds)
			}
			if d := v.below - test.below; d > 1e-9 || d < -1e-9 {
				t.Errorf("below by %v, want %v", v.below, test.below)
			}
		})
	}
}

// TestJudgeCounts: nine of ten cells suffice, quick startups do not count, and a point too much anywhere does.
func TestJudgeCounts(t *testing.T) {
	won, lost, far := against(point(0.95, 10), point(0.9, 9)), against(point(0.95, 10), point(0.955, 10)), against(point(0.95, 10), point(0.97, 10))
	quick := far
	quick.cell.startup = 30 * time.Second
	nine := []comparison{won, won, won, won, won, won, won, won, won, quick}
	for _, test := range []struct {
		name  string
		tenth comparison
		holds bool
	}{{"nine of ten", lost, true}, {"far below in one", far, false}} {
		if v := judge(append(nine[:len(nine):len(nine)], test.tenth), chosen); v.cells != 10 || v.holds() != test.holds {
			t.Errorf("%s: got %v, want %v of 10 cells", test.name, &v, test.holds)
		}
	}
	if v := judge(append(nine[:len(nine):len(nine)], lost, lost), chosen); v.holds() || len(v.lost) != 2 {
		t.Errorf("nine of eleven: got %v, and lost %q", &v, v.lost)
	}
}

// TestJudgeHindsight: any setting counts, not only the one that served best.
func TestJudgeHindsight(t *testing.T) {
	c := []comparison{against(point(0.95, 10), point(0.99, 20), point(0.96, 9))}
	if v := judge(c, chosen); v.undominated != 1 {
		t.Errorf("against the best setting: got %v", &v)
	}
	if v := judge(c, every); v.undominated != 0 || !strings.Contains(strings.Join(v.lost, ""), "96.00 % in 9.00") {
		t.Errorf("against every setting: got %v, lost %q", &v, v.lost)
	}
}
