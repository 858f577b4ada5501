// Package draw draws charts as SVG and PNG. The drawing is a library's; the layout is made here, so that all panels share one
// time axis and the same chart gives the same bytes.
package draw

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/go-analyze/charts"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// The least and the largest width of a chart, in CSS pixels. The height follows from what is in it.
const (
	MinWidth = 280
	MaxWidth = 4000
)

// scale is how many units of a drawing a CSS pixel has: the library draws at whole numbers.
const scale = 2

// SVG draws a chart as an SVG file of its own.
func SVG(c chart.Chart, width int, theme Theme) ([]byte, error) {
	text, err := render(c, width, theme, charts.ChartOutputSVG)
	if err != nil {
		return nil, err
	}
	return dress(text, &c), nil
}

// PNG draws a chart as a picture of twice so many pixels, which is what screens show sharply.
func PNG(c chart.Chart, width int, theme Theme) ([]byte, error) {
	return render(c, width, theme, charts.ChartOutputPNG)
}

// Inline draws a chart as an SVG element whose colours are the CSS variables of the page around it: see Variables.
func Inline(c chart.Chart, width int) ([]byte, error) {
	text, err := SVG(c, width, Light)
	if err != nil {
		return nil, err
	}
	p := palettes[Light]
	var pairs []string
	for _, n := range p.named() {
		pairs = append(pairs, ":"+n.color.String(), ":var(--chart-"+n.name+")")
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(text))), nil
}

// render draws a chart in one of the library's formats.
func render(c chart.Chart, width int, theme Theme, format string) ([]byte, error) {
	if width < MinWidth || width > MaxWidth {
		return nil, fmt.Errorf("a chart of %d pixels in width is not allowed: give %d to %d", width, MinWidth, MaxWidth)
	}
	p, ok := palettes[theme]
	if !ok {
		return nil, fmt.Errorf("theme %d is not known: give Light or Dark", theme)
	}
	measure := &canvas{painter: charts.NewPainter(charts.PainterOptions{OutputFormat: format, Width: 1, Height: 1}), palette: &p}
	l := newLayout(c, float64(width), measure)
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: format, Width: scale * width, Height: scale * int(l.height)})
	l.draw(&canvas{painter: painter, palette: &p})
	out, err := painter.Bytes()
	if err != nil {
		return nil, fmt.Errorf("drawing a chart: %w", err)
	}
	return out, nil
}

// dress gives the drawing its size, its name for those who do not see it, and the fonts of whoever looks at it.
func dress(text []byte, c *chart.Chart) []byte {
	var name bytes.Buffer
	// Writing to memory does not fail.
	_ = xml.EscapeText(&name, []byte(c.Text()))
	head, rest, _ := bytes.Cut(text, []byte(">"))
	view := between(string(head), `viewBox="0 0 `, `"`)
	var width, height int
	_, _ = fmt.Sscan(view, &width, &height)
	start := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %s" role="img" aria-label="%s" font-family="%s">`,
		width/scale, height/scale, view, name.String(), fonts)
	body := strings.ReplaceAll(string(rest), ";font-family:'Roboto Medium',sans-serif", "")
	return []byte(start + strings.ReplaceAll(body, "stroke:none;", "") + "\n")
}

// fonts are tried in this order.
const fonts = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

// between returns what is between two texts.
func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}
