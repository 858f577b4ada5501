package draw

import (
	"math"
	"strings"
	"testing"

	"github.com/go-analyze/charts"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

func painter() *charts.Painter {
	return charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 1, Height: 1})
}

// A colour tells which variable it is, so no two are the same, and none is forgotten.
func TestInline(t *testing.T) {
	for theme, p := range palettes {
		seen := map[string]string{}
		for _, n := range p.named() {
			if other := seen[n.color.String()]; other != "" {
				t.Errorf("theme %d: %s and %s are the same", theme, n.name, other)
			}
			seen[n.color.String()] = n.name
			if !strings.Contains(Variables(theme), "--chart-"+n.name+":rgb(") {
				t.Errorf("theme %d: no variable for %s", theme, n.name)
			}
		}
	}
	text, err := Inline(chart.Of(rows(800)), 960)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"rgb(", "fill:white"} {
		if strings.Contains(string(text), part) {
			t.Errorf("a colour is no variable: %s", part)
		}
	}
	for _, part := range []string{"fill:var(--chart-ground)", "stroke:var(--chart-desired)", "fill:var(--chart-capacity)", `aria-hidden="true"`, "tokens_&lt;&amp;"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s", part)
		}
	}
}

// Text can be read on its ground, and lines can be seen, as WCAG counts contrast.
func TestContrast(t *testing.T) {
	for theme, p := range palettes {
		for _, c := range []struct {
			name      string
			on, below charts.Color
			least     float64
		}{
			{"ink", p.ink, p.ground, 7},
			{"muted", p.muted, p.ground, 4.5},
			{"value", p.value, p.ground, 3},
			{"target", p.target, p.ground, 3},
			{"desired", p.desired, p.ready, 4.5},
			{"fourth", p.fourth, p.ground, 3},
			{"fifth", p.fifth, p.ground, 3},
			{"limit", p.limit, p.ground, 3},
			{"on data", p.onBand, p.data, 4.5},
			{"on capacity", p.onBand, p.capacity, 4.5},
			{"on limits", p.onBand, p.limits, 4.5},
			{"on others", p.onBand, p.others, 4.5},
		} {
			if got := contrast(c.on, c.below); got < c.least {
				t.Errorf("theme %d: %s has a contrast of %.2f, want %v", theme, c.name, got, c.least)
			}
		}
	}
}

func contrast(a, b charts.Color) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(c charts.Color) float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}
