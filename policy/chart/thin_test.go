package chart

import (
	"math"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// week is as many rows as a week has at 15 s.
const week = 7 * 24 * 3600 / 15

// extremes has one value that is smallest, one that is largest, and one gap.
func extremes() []Row {
	return ticks(week, func(i int, r *Row) {
		r.Desired, r.Reason = 1+i%7, []policy.Reason{policy.ScaleUpLimit, policy.NoData, ""}[i%3]
		value := 50 + 10*math.Sin(float64(i)/100) + float64(i%13)
		switch {
		case i == 12345:
			value = 99.5
		case i == 23456:
			value = 0.25
		case i > 30000 && i < 30500:
			value = math.NaN()
		}
		r.Signals = []Reading{{policy.GPUUtilization, value, 75}}
	})
}

// TestThin wants few points of many.
func TestThin(t *testing.T) {
	full := Of(extremes())
	thin := full.Thin(400)
	if len(full.Panels[1].Lines[1].Points) < 30000 || len(full.Bands) < 10000 {
		t.Fatal("the original chart has been thinned")
	}
	if len(thin.Bands) > 400 || len(thin.Bands) == 0 {
		t.Errorf("%d bands", len(thin.Bands))
	}
	for _, panel := range thin.Panels {
		for _, l := range panel.Lines {
			if len(l.Points) > 5*400 || !l.Points[0].Time.Equal(thin.Start) || !l.Points[len(l.Points)-1].Time.Equal(thin.End) {
				t.Errorf("%s: %d points from %v to %v", l.Name, len(l.Points), l.Points[0].Time, l.Points[len(l.Points)-1].Time)
			}
		}
	}
}

// The few points are in order and have every extreme, and the gap.
func TestThinKeepsExtremes(t *testing.T) {
	low, high, gaps := math.Inf(1), math.Inf(-1), 0
	points := Of(extremes()).Thin(400).Panels[1].Lines[1].Points
	for i, p := range points {
		if i > 0 && p.Time.Before(points[i-1].Time) {
			t.Fatal("the points are not in order")
		}
		if math.IsNaN(p.Value) {
			gaps++
			continue
		}
		low, high = min(low, p.Value), max(high, p.Value)
	}
	if low != 0.25 || high != 99.5 || gaps < 2 {
		t.Errorf("from %v to %v with %d gaps", low, high, gaps)
	}
}

// What is small stays as it is.
func TestThinSmall(t *testing.T) {
	c := Of(ticks(20, func(i int, r *Row) { r.Desired, r.Reason = i, policy.Reasons()[i] }))
	thin := c.Thin(100)
	lines := thin.Panels[0].Lines
	if desired := lines[len(lines)-1]; len(thin.Bands) != len(c.Bands) || len(desired.Points) != 20 {
		t.Errorf("%d of %d bands, %d of 20 points", len(thin.Bands), len(c.Bands), len(desired.Points))
	}
	if Of(nil).Thin(0).Panels != nil {
		t.Error("nothing became something")
	}
}
