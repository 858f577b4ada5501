package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

var begin = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// rows makes so many rows with everything that can be drawn.
func rows(n int) []chart.Row {
	reasons := policy.Reasons()
	made := make([]chart.Row, n)
	for i := range made {
		made[i] = chart.Row{
			Time: begin.Add(time.Duration(i) * 15 * time.Second), Replicas: i % 9, Desired: (i / 3) % 9, Ready: i % 5, Loading: i % 3, Unschedulable: i % 2,
			Min: 1, Max: 40, Reason: reasons[(i/20)%len(reasons)],
			Signals: []chart.Reading{
				{Signal: policy.GPUUtilization, Value: float64(i * 7 % 101), Target: 75},
				{Signal: "tokens_<&\"'>", Value: 12345.678 * float64(i%50), Target: 1e5},
				{Signal: policy.TTFTP95, Value: 0.0004 * float64(i%11)},
			},
		}
	}
	return made
}

// examples are what must not break the drawing.
func examples() map[string]chart.Chart {
	gone := rows(30)
	for i := range gone {
		for j := range gone[i].Signals {
			gone[i].Signals[j].Value = math.NaN()
		}
	}
	titled := chart.Of(rows(200))
	titled.Title, titled.Caption = "A title <&>", strings.Repeat("a caption that is longer than a line ", 6)
	return map[string]chart.Chart{
		"empty": chart.Of(nil), "one row": chart.Of(rows(1)), "two rows": chart.Of(rows(2)), "no value": chart.Of(gone), "titled": titled,
		"10,000 rows": chart.Of(rows(10_000)), "compared": chart.Compare([]string{"a", "b", "c"}, [][]chart.Row{rows(50), nil, rows(90)}),
	}
}

func TestSVG(t *testing.T) {
	for name, c := range examples() {
		for _, width := range []int{MinWidth, 390, 960} {
			for _, theme := range []Theme{Light, Dark} {
				text, err := SVG(c, width, theme)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if err := wellFormed(text, width); err != nil {
					t.Errorf("%s, %d pixels: %v", name, width, err)
				}
				if again, _ := SVG(c, width, theme); !bytes.Equal(text, again) {
					t.Errorf("%s: a second drawing is another", name)
				}
				if len(text) > 400_000 {
					t.Errorf("%s, %d pixels: %d bytes", name, width, len(text))
				}
			}
		}
	}
}

// wellFormed wants XML of one element whose texts all lie inside its view.
func wellFormed(text []byte, width int) error {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	v := view{measure: &canvas{painter: painter(), palette: &palette{ink: rgb(1)}}}
	for {
		token, err := decoder.Token()
		switch token := token.(type) {
		case xml.StartElement:
			err = v.enter(token, width)
		case xml.CharData:
			err = v.inside(strings.TrimSpace(string(token)))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// view is what is known of an SVG while it is read: its size, and where the next text goes.
type view struct {
	measure       *canvas
	right, bottom int
	x, y, size    float64
	anchor        anchor
}

// enter takes note of an element.
func (v *view) enter(e xml.StartElement, width int) error {
	a := attributes(e)
	switch e.Name.Local {
	case "svg":
		if _, err := fmt.Sscanf(a["viewBox"], "0 0 %d %d", &v.right, &v.bottom); err != nil || e.Name.Space != "http://www.w3.org/2000/svg" {
			return fmt.Errorf("svg %v: %w", a, err)
		}
		if v.right != scale*width || a["width"] != strconv.Itoa(width) || a["height"] != strconv.Itoa(v.bottom/scale) || a["aria-label"] == "" {
			return fmt.Errorf("svg %v", a)
		}
	case "text":
		_, size, _ := strings.Cut(a["style"], "font-size:")
		size, _, _ = strings.Cut(size, "px")
		if _, err := fmt.Sscan(a["x"]+" "+a["y"]+" "+size, &v.x, &v.y, &v.size); err != nil {
			return fmt.Errorf("text %v: %w", a, err)
		}
		v.anchor = anchor(a["text-anchor"])
	}
	return nil
}

// inside wants a text within the view.
func (v *view) inside(text string) error {
	width := v.measure.width(text, v.size/scale) * scale
	left := v.x
	switch v.anchor {
	case end:
		left -= width
	case middle:
		left -= width / 2
	}
	if text != "" && (left < 0 || left+width > float64(v.right) || v.y < v.size*0.7 || v.y > float64(v.bottom)) {
		return fmt.Errorf("%q from %v to %v at %v is outside of %v, %v", text, left, left+width, v.y, v.right, v.bottom)
	}
	return nil
}

func attributes(e xml.StartElement) map[string]string {
	a := map[string]string{}
	for _, attribute := range e.Attr {
		a[attribute.Name.Local] = attribute.Value
	}
	return a
}

func TestPNG(t *testing.T) {
	for name, c := range examples() {
		text, err := PNG(c, 640, Dark)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		picture, err := png.Decode(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		svg, _ := SVG(c, 640, Dark)
		if size := picture.Bounds(); size.Dx() != 1280 || !strings.Contains(string(svg), fmt.Sprintf(`viewBox="0 0 %d %d"`, size.Dx(), size.Dy())) {
			t.Errorf("%s: %v", name, size)
		}
		if again, _ := PNG(c, 640, Dark); !bytes.Equal(text, again) {
			t.Errorf("%s: a second drawing is another", name)
		}
	}
}

// The area of the ready pods goes down to the axis in a picture too.
func TestPNGArea(t *testing.T) {
	c := chart.Of([]chart.Row{
		{Time: begin, Ready: 2, Desired: 2, Replicas: 2},
		{Time: begin.Add(time.Minute), Ready: 2, Desired: 2, Replicas: 2},
		{Time: begin.Add(2 * time.Minute), Ready: 4, Desired: 4, Replicas: 4},
		{Time: begin.Add(3 * time.Minute), Ready: 4, Desired: 4, Replicas: 4},
	})
	text, err := PNG(c, 400, Light)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	l := newLayout(c, 400, &canvas{painter: painter(), palette: &palette{ink: rgb(1)}})
	axis := l.panels[0].axis
	ready := palettes[Light].ready
	for _, at := range []xy{{l.time.left + 20, axis.y(0.5)}, {l.time.right - 20, axis.y(0.5)}, {l.time.right - 20, axis.y(3.5)}} {
		r, g, b, _ := picture.At(units(at.x), units(at.y)).RGBA()
		if uint8(r>>8) != ready.R || uint8(g>>8) != ready.G || uint8(b>>8) != ready.B {
			t.Errorf("at %v the picture is %d %d %d", at, r>>8, g>>8, b>>8)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		width int
		theme Theme
		want  string
	}{{100, Light, "a chart of 100 pixels in width is not allowed: give 280 to 4000"}, {5000, Light, "give 280 to 4000"}, {500, 7, "theme 7 is not known"}} {
		if _, err := SVG(chart.Of(rows(3)), c.width, c.theme); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %d: error %v, want %q", c.width, c.theme, err, c.want)
		}
	}
}
