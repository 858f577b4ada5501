package draw

import (
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

func TestTimeTicks(t *testing.T) {
	for _, c := range []struct {
		from string
		span time.Duration
		want string
	}{
		{"2026-03-01T09:00:00Z", 40 * time.Second, "09:00:00 09:00:05 09:00:10 09:00:15 09:00:20 09:00:25 09:00:30 09:00:35 09:00:40"},
		{"2026-03-01T09:01:07Z", 20 * time.Minute, "09:02 09:04 09:06 09:08 09:10 09:12 09:14 09:16 09:18 09:20"},
		{"2026-03-01T21:10:00+05:30", 26 * time.Hour, "16:00 18:00 20:00 22:00 Mar 2 02:00 04:00 06:00 08:00 10:00 12:00 14:00 16:00"},
		{"2026-03-01T09:00:00Z", 7 * 24 * time.Hour, "12:00 Mar 2 12:00 Mar 3 12:00 Mar 4 12:00 Mar 5 12:00 Mar 6 12:00 Mar 7 12:00 Mar 8"},
		{"2026-03-01T09:00:00Z", 0, "08:59:30 08:59:35 08:59:40 08:59:45 08:59:50 08:59:55 09:00:00 09:00:05 09:00:10 09:00:15 09:00:20 09:00:25 09:00:30"},
	} {
		from, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		a := newTimeAxis(&chart.Chart{Start: from, End: from.Add(c.span)}, 0, 840)
		var labels []string
		before := -70.0
		for _, tick := range a.ticks(60) {
			labels = append(labels, tick.label)
			if x := a.x(tick.at); x < before+59.9 || x > 840 {
				t.Errorf("%s, %v: %s lies at %v, the one before at %v", c.from, c.span, tick.label, x, before)
			} else {
				before = x
			}
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%s, %v: %s, want %s", c.from, c.span, got, c.want)
		}
	}
}

// Even of ten years there are few.
func TestTimeTicksOfYears(t *testing.T) {
	a := newTimeAxis(&chart.Chart{Start: begin, End: begin.AddDate(10, 0, 0)}, 0, 840)
	if ticks := a.ticks(60); len(ticks) < 5 || len(ticks) > 14 {
		t.Errorf("%v", ticks)
	}
}

func TestValueAxis(t *testing.T) {
	for _, c := range []struct {
		panel     chart.Panel
		top, step float64
	}{
		{panelOf(chart.Value, 0, false, 3.2), 4, 2},
		{panelOf(chart.Value, 0, false, 87), 100, 50},
		{panelOf(chart.Value, 100, false, 3), 100, 50},
		{panelOf(chart.Desired, 0, true, 1), 1, 1},
		{panelOf(chart.Maximum, 0, true, 500), 1, 1},
		{panelOf(chart.Value, 0, false), 1, 0.5},
		{panelOf(chart.Value, 0, false, 0.0003), 0.0003, 0.0001},
	} {
		a := newValueAxis(&c.panel, 3, 0, 100)
		if diff := a.top - c.top; diff > 1e-9 || diff < -1e-9 || a.step < c.step*0.999 || a.step > c.step*1.001 {
			t.Errorf("%v: up to %v by %v, want %v by %v", c.panel, a.top, a.step, c.top, c.step)
		}
	}
}

// panelOf is a panel of one line.
func panelOf(role chart.Role, limit float64, whole bool, values ...float64) chart.Panel {
	l := chart.Line{Role: role}
	for i, v := range values {
		l.Points = append(l.Points, chart.Point{Time: begin.Add(time.Duration(i) * time.Minute), Value: v})
	}
	return chart.Panel{Max: limit, Whole: whole, Lines: []chart.Line{l}}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 2.5: "2.5", 0.30000000000000004: "0.3", 9999: "9999", 10000: "10k", 12500: "12.5k", 4e6: "4M", 2.5e9: "2.5G", 0.0001: "0.0001", 1.0 / 3: "0.333",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
