package reports

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

var begin = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// example is a run of four ticks with everything in it.
func example(name string) Run {
	run := Run{
		Name: name, Figures: []Figure{{"GPU-hours", "1.25"}, {"Reversals", "0"}}, Settings: []Setting{{"gpuscaler.io/max-replicas", "8"}},
	}
	reasons := []policy.Reason{policy.ReadyForNewScale, policy.NoData, policy.NoData, policy.ScaleDownStabilized}
	for i, r := range reasons {
		at := begin.Add(time.Duration(i) * time.Minute)
		value := 40.0
		if r == policy.NoData {
			value = math.NaN()
		}
		d := Decision{Time: at, From: 4, To: 4, Reason: r, Message: fmt.Sprintf("message <%d>", i)}
		if i == 0 {
			d.From, d.Events = 2, []string{"a person sets replicas to 2"}
		}
		run.Decisions = append(run.Decisions, d)
		run.Rows = append(run.Rows, chart.Row{
			Time: at, Replicas: 4, Desired: 4, Ready: 4, Min: 1, Max: 8, Reason: r,
			Signals: []chart.Reading{{Signal: policy.GPUUtilization, Value: value, Target: 75}},
		})
	}
	return run
}

// written is a report as a document, and its text.
func written(t *testing.T, r *Report) (root *html.Node, source string) {
	t.Helper()
	var out bytes.Buffer
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return root, out.String()
}

// find returns the elements of a name.
func find(n *html.Node, name string) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			found = append(found, d)
		}
	}
	return found
}

// text returns the words of an element.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func TestHTML(t *testing.T) {
	root, source := written(t, &Report{
		Title: "Simulation of <x>", About: "About it.", Runs: []Run{example("x")}, Notes: []string{"A note."}, SourceName: "The scenario",
		Source: "annotations: {a: \"</pre>\"}\n", Version: "v1.2.3",
	})
	if got := find(root, "h1"); len(got) != 1 || text(got[0]) != "Simulation of <x>" {
		t.Errorf("h1: %v", got)
	}
	if got := attribute(find(root, "html")[0], "lang"); got != "en" {
		t.Errorf("lang %q", got)
	}
	if got := find(root, "svg"); len(got) != 2 || len(find(got[0], "path")) < 10 {
		t.Errorf("%d charts, want a wide and a narrow one", len(got))
	}
	body := text(find(root, "body")[0])
	for _, want := range []string{
		"2026-03-01 09:00:00 to 2026-03-01 09:03:00 UTC", "About it.", "A note.", "GPU-hours 1.25", "desired replicas at 4", "Held by NoData, ScaleDownStabilized",
		"NoData there is no usable sample", "v1.2.3", `annotations: {a: "</pre>"}`, "gpuscaler.io/max-replicas 8",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	if strings.Contains(body, "Override") {
		t.Error("a reason is explained that never held")
	}
	selfContained(t, root, source)
	structured(t, root)
}

// selfContained wants nothing that is loaded from elsewhere, and nothing that runs.
func selfContained(t *testing.T, root *html.Node, source string) {
	t.Helper()
	for d := range root.Descendants() {
		switch d.Data {
		case "script", "link", "img", "iframe", "base", "object":
			t.Errorf("there is a <%s>", d.Data)
		}
		for _, a := range d.Attr {
			if a.Key == "src" || a.Key == "href" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s> has %s=%q", d.Data, a.Key, a.Val)
			}
		}
	}
	rest := strings.ReplaceAll(source, "http://www.w3.org/2000/svg", "")
	for _, part := range []string{"http:", "https:", "@import", "url(", "ZgotmplZ"} {
		if strings.Contains(rest, part) {
			t.Errorf("there is %s", part)
		}
	}
}

// structured wants headings in order, tables and figures with captions, ids that are unique, and labels that exist.
func structured(t *testing.T, root *html.Node) {
	t.Helper()
	ids, level := map[string]bool{}, 0
	for d := range root.Descendants() {
		if id := attribute(d, "id"); id != "" && ids[id] {
			t.Errorf("two elements are %s", id)
		} else {
			ids[id] = true
		}
		if next := headingLevel(d); next > level+1 {
			t.Errorf("h%d after h%d: %s", next, level, text(d))
		} else if next > 0 {
			level = next
		}
	}
	for d := range root.Descendants() {
		if label := attribute(d, "aria-labelledby"); label != "" && !ids[label] {
			t.Errorf("nothing is %s", label)
		}
	}
	for element, caption := range map[string]string{"table": "caption", "figure": "figcaption"} {
		for _, e := range find(root, element) {
			if c := find(e, caption); len(c) != 1 || text(c[0]) == "" {
				t.Errorf("a %s has no %s", element, caption)
			}
		}
	}
}

// headingLevel is 1 for <h1>, and 0 for what is no heading.
func headingLevel(n *html.Node) int {
	if n.Type != html.ElementNode || len(n.Data) != 2 {
		return 0
	}
	return max(strings.Index("h0h1h2h3h4h5h6", n.Data)/2, 0)
}

// Several runs stand side by side, each with its chart, and one chart has all.
func TestHTMLOfSeveral(t *testing.T) {
	hpa := example("hpa")
	hpa.Figures = []Figure{{"GPU-hours", "2.50"}, {"Only here", "7"}}
	hpa.Decisions = nil
	r := &Report{Title: "Backtest", Runs: []Run{example("this policy"), hpa}, Version: "v1"}
	root, source := written(t, r)
	var rows []string
	for _, row := range find(find(root, "table")[0], "tr") {
		rows = append(rows, text(row))
	}
	if got, want := strings.Join(rows, "|"), "this policy hpa|GPU-hours 1.25 2.50|Reversals 0 –|Only here – 7"; got != want {
		t.Errorf("figures %s, want %s", got, want)
	}
	if n := len(find(root, "svg")); n != 6 {
		t.Errorf("%d charts, want three in two widths", n)
	}
	if body := text(root); !strings.Contains(body, "Decisions of this policy") || strings.Contains(body, "Decisions of hpa") {
		t.Error("the decisions are not those of the run that has them")
	}
	selfContained(t, root, source)
	structured(t, root)
}

func TestPNG(t *testing.T) {
	for _, runs := range [][]Run{{example("a")}, {example("a"), example("b")}} {
		r := Report{Title: "A title", Runs: runs}
		picture, err := r.PNG()
		if err != nil {
			t.Fatal(err)
		}
		if decoded, err := png.Decode(bytes.NewReader(picture)); err != nil || decoded.Bounds().Dx() != 2*pictureWidth {
			t.Errorf("%d runs: error %v", len(runs), err)
		}
	}
	if got, want := (&Report{Runs: []Run{example("a"), example("b")}}).caption(), "a — GPU-hours: 1.25 · Reversals: 0. b — GPU-hours: 1.25 · Reversals: 0."; got != want {
		t.Errorf("caption %q, want %q", got, want)
	}
}

// No rows are no reason to fail: a backtest may find that there is no data.
func TestNothing(t *testing.T) {
	r := &Report{Title: "Nothing", Runs: []Run{{Name: "a"}}}
	if _, source := written(t, r); !strings.Contains(source, "Nothing was decided in this time.") {
		t.Error("it is not said")
	}
	if _, err := r.PNG(); err != nil {
		t.Error(err)
	}
}
