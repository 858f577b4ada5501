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
	var name bytes.Buffer
	// Writing to memory does not fail.
	_ = xml.EscapeText(&name, []byte(c.Text()))
	return svg(c, width, theme, `role="img" aria-label="`+name.String()+`"`)
}

// PNG draws a chart as a picture of twice so many pixels, which is what screens show sharply.
func PNG(c chart.Chart, width int, theme Theme) ([]byte, error) {
	text, _, err := render(c, width, theme, charts.ChartOutputPNG)
	return text, err
}

// Inline draws a chart as an SVG element whose colours are the CSS variables of the page around it: see Variables. What it shows is
// to be told beside it, as Chart.Text does.
func Inline(c chart.Chart, width int) ([]byte, error) {
	text, err := svg(c, width, Light, `aria-hidden="true"`)
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

// svg draws a chart as SVG with some attributes.
func svg(c chart.Chart, width int, theme Theme, attributes string) ([]byte, error) {
	text, drawn, err := render(c, width, theme, charts.ChartOutputSVG)
	if err != nil {
		return nil, err
	}
	return dress(string(text), drawn, attributes), nil
}

// render draws a chart in one of the library's formats, and returns what it was drawn on too.
func render(c chart.Chart, width int, theme Theme, format string) ([]byte, *canvas, error) {
	if width < MinWidth || width > MaxWidth {
		return nil, nil, fmt.Errorf("a chart of %d pixels in width is not allowed: give %d to %d", width, MinWidth, MaxWidth)
	}
	p, ok := palettes[theme]
	if !ok {
		return nil, nil, fmt.Errorf("theme %d is not known: give Light or Dark", theme)
	}
	measure := &canvas{painter: charts.NewPainter(charts.PainterOptions{OutputFormat: format, Width: 1, Height: 1}), palette: &p}
	l := newLayout(c, float64(width), measure)
	size := charts.PainterOptions{OutputFormat: format, Width: scale * width, Height: units(l.height)}
	drawn := &canvas{painter: charts.NewPainter(size), palette: &p}
	l.draw(drawn)
	out, err := drawn.painter.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("drawing a chart: %w", err)
	}
	return out, drawn, nil
}

// fonts are tried in this order by who looks at an SVG.
const fonts = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"

// dress gives the library's SVG its size, its attributes, and the fonts of whoever looks at it.
func dress(text string, drawn *canvas, attributes string) []byte {
	_, body, _ := strings.Cut(text, ">")
	body = strings.NewReplacer(";font-family:'Roboto Medium',sans-serif", "", "stroke:none;", "", "\n", " ").Replace(body)
	var b strings.Builder
	width, height := drawn.painter.Width(), drawn.painter.Height()
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="%s" %s>`,
		width/scale, height/scale, width, height, fonts, attributes)
	const opening = `<text x="`
	parts := strings.Split(body, opening)
	b.WriteString(parts[0])
	for i, part := range parts[1:] {
		_, rest, _ := strings.Cut(part, `"`)
		fmt.Fprintf(&b, `<text text-anchor="%s" x="%d"%s`, drawn.texts[i].at, drawn.texts[i].x, rest)
	}
	b.WriteString("\n")
	return []byte(b.String())
}
