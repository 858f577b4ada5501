package chart

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// at is so many seconds after the start.
func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// ticks makes rows 15 s apart of functions of their number.
func ticks(n int, change func(i int, r *Row)) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{Time: at(15 * i), Replicas: 2, Desired: 2, Ready: 2, Min: 1, Max: 8, Reason: policy.WithinTolerance}
		change(i, &rows[i])
	}
	return rows
}

// printed is a line as "name role: seconds=value ...".
func printed(l *Line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", l.Name, l.Role)
	for _, p := range l.Points {
		fmt.Fprintf(&b, " %.0f=%v", p.Time.Sub(start).Seconds(), p.Value)
	}
	return b.String()
}

func TestOf(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name string
		rows []Row
		want []string
	}{
		{"none", nil, nil},
		{
			"one", ticks(1, func(int, *Row) {}),
			[]string{"ready ready: 0=2", "minimum minimum: 0=1", "maximum maximum: 0=8", "desired desired: 0=2"},
		},
		{
			"a raise: equal values are kept at their ends only, and pending lies on ready",
			ticks(6, func(i int, r *Row) {
				if r.Max = 0; i >= 2 {
					r.Desired = 5
				}
				if i >= 3 {
					r.Replicas, r.Loading, r.Unschedulable = 5, 2, 1
				}
			}),
			[]string{"loading or unschedulable pending: 0=2 30=2 45=5 75=5", "ready ready: 0=2 75=2", "desired desired: 0=2 15=2 30=5 75=5"},
		},
		{
			"a dry run: spec.replicas is a line of its own",
			ticks(3, func(_ int, r *Row) { r.Max, r.Desired = 0, 4 }),
			[]string{"ready ready: 0=2 30=2", "spec.replicas replicas: 0=2 30=2", "desired desired: 0=4 30=4"},
		},
		{
			"a signal with a gap, a value that is none, and a target that changes; one without a target",
			ticks(4, func(i int, r *Row) {
				r.Max = 0
				r.Signals = []Reading{{"zebras", 3, 0}, {policy.QueueDepth, []float64{1, nan, math.Inf(1), 4}[i], float64(4 + i/2)}}
			}),
			[]string{
				"ready ready: 0=2 45=2", "desired desired: 0=2 45=2",
				"target target: 0=4 15=4 30=5 45=5", "queue-depth value: 0=1 15=NaN 30=NaN 45=4", "zebras value: 0=3 45=3",
			},
		},
		{
			"an interruption",
			append(ticks(3, func(_ int, r *Row) { r.Max = 0 }), Row{Time: at(300), Desired: 2, Replicas: 2, Ready: 2}, Row{Time: at(315), Desired: 2, Replicas: 2, Ready: 1}),
			[]string{"ready ready: 0=2 30=2 45=NaN 300=2 315=1", "desired desired: 0=2 30=2 45=NaN 300=2 315=2"},
		},
	} {
		var got []string
		drawn := Of(c.rows)
		for i := range drawn.Panels {
			for j := range drawn.Panels[i].Lines {
				got = append(got, printed(&drawn.Panels[i].Lines[j]))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// Panels come in the order of the documentation, with the units of the signals.
func TestPanels(t *testing.T) {
	c := Of(ticks(2, func(i int, r *Row) {
		r.Signals = []Reading{{"aardvarks", 1, 1}, {policy.KVCache, 1, 80}}
		if i == 1 {
			r.Signals = append(r.Signals, Reading{policy.GPUUtilization, 50, 75})
		}
	}))
	var got []string
	for _, p := range c.Panels {
		got = append(got, fmt.Sprintf("%s (%s) to %v", p.Title, p.Unit, p.Max))
	}
	want := []string{"replicas () to 0", "gpu-utilization (percent) to 100", "kv-cache (percent) to 100", "aardvarks () to 0"}
	if !slices.Equal(got, want) || !c.Start.Equal(at(0)) || !c.End.Equal(at(15)) {
		t.Errorf("%v from %v to %v, want %v", got, c.Start, c.End, want)
	}
	text := c.Text()
	for _, part := range []string{"from 2026-01-01 12:00:00 to 2026-01-01 12:00:15 UTC", "desired replicas at 2", "kv-cache at 1"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

func TestBands(t *testing.T) {
	rows := ticks(8, func(i int, r *Row) {
		r.Reason = []policy.Reason{
			policy.NoData, policy.NoData, policy.ReadyForNewScale, policy.Gap, policy.ScaleDownStabilized, policy.ScaleDownStabilized, "", policy.Paused,
		}[i]
	})
	rows = append(rows, Row{Time: at(1000), Reason: policy.Paused})
	var got []string
	for _, b := range Of(rows).Bands {
		got = append(got, fmt.Sprintf("%.0f-%.0f %s", b.From.Sub(start).Seconds(), b.To.Sub(start).Seconds(), b.Reason))
	}
	want := []string{"0-30 NoData", "45-60 Gap", "60-90 ScaleDownStabilized", "105-120 Paused", "1000-1000 Paused"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Every reason that holds has a colour and an explanation, and no other has.
func TestFamilies(t *testing.T) {
	for _, r := range policy.Reasons() {
		family := FamilyOf(r)
		if known := slices.Contains(Families(), family); known != r.Holds() || (Meaning(r) != "") != r.Holds() {
			t.Errorf("%s: family %q, meaning %q, holds %v", r, family, Meaning(r), r.Holds())
		}
	}
	for _, f := range Families() {
		if f.Text() == "" {
			t.Errorf("%s has no text", f)
		}
	}
}

func TestCompare(t *testing.T) {
	ours := ticks(3, func(_ int, r *Row) { r.Signals = []Reading{{policy.QueueDepth, 2, 4}} })
	theirs := ticks(4, func(_ int, r *Row) { r.Desired, r.Time = 3, r.Time.Add(-time.Minute) })
	c := Compare([]string{"ours", "nobody's", "theirs"}, [][]Row{ours, nil, theirs})
	var got []string
	for i := range c.Panels {
		for j := range c.Panels[i].Lines {
			got = append(got, printed(&c.Panels[i].Lines[j]))
		}
	}
	want := []string{
		"ours run: 0=2 30=2", "nobody's run:", "theirs run: -60=3 -15=3",
		"ours run: 0=2 30=2", "nobody's run:", "theirs run: -60=NaN -15=NaN",
	}
	if !slices.Equal(got, want) || !c.Start.Equal(at(-60)) || !c.End.Equal(at(30)) {
		t.Errorf("from %v to %v:\n%s", c.Start, c.End, strings.Join(got, "\n"))
	}
	if empty := Compare(nil, nil); len(empty.Panels) > 0 || empty.Text() != "A chart of no decisions." {
		t.Errorf("of nothing: %v", empty)
	}
}
