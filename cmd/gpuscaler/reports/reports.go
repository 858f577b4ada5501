// Package reports writes what a simulation or a backtest shows as one HTML file that needs nothing else: no script, no network.
package reports

import (
	"cmp"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/draw"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// Report is what is told of one or several runs over the same time.
type Report struct {
	// Title is the heading, About a paragraph below it, empty for none.
	Title, About string
	// Runs are what is compared, at least one.
	Runs []Run
	// Notes are sentences on what the numbers cannot tell.
	Notes []string
	// Source is the text that the runs were made from, shown as it is under the name SourceName; empty for none.
	SourceName, Source string
	// Version is that of the program.
	Version string
}

// Run is one policy's decisions.
type Run struct {
	Name string
	Rows []chart.Row
	// Figures sum it up. Those of the same name are shown side by side.
	Figures []Figure
	// Decisions are in the order of time, one for each tick. They may be left out.
	Decisions []Decision
	// Settings are the annotations that it ran with. They may be left out.
	Settings []Setting
}

// Figure is one number of a summary.
type Figure struct {
	Name, Value string
}

// Setting is an annotation.
type Setting struct {
	Key, Value string
}

// Decision is one tick in words.
type Decision struct {
	Time     time.Time
	From, To int
	Reason   policy.Reason
	Message  string
	// Events tell what happened before it.
	Events []string
}

// chart returns the one chart that says most: that of the only run, else one that compares all.
func (r *Report) chart() chart.Chart {
	if len(r.Runs) == 1 {
		return chart.Of(r.Runs[0].Rows)
	}
	names, rows := make([]string, len(r.Runs)), make([][]chart.Row, len(r.Runs))
	for i := range r.Runs {
		names[i], rows[i] = r.Runs[i].Name, r.Runs[i].Rows
	}
	return chart.Compare(names, rows)
}

// pictureWidth is how many CSS pixels a picture is wide: chats show it whole, and its text can still be read.
const pictureWidth = 960

// PNG draws the chart as a picture, with the title and the figures in it: in a chat nothing else says what it is about.
func (r *Report) PNG() ([]byte, error) {
	c := r.chart()
	c.Title, c.Caption = r.Title, r.caption()
	return draw.PNG(c, pictureWidth, draw.Light)
}

// caption is the figures in one text.
func (r *Report) caption() string {
	var parts []string
	for i := range r.Runs {
		run := &r.Runs[i]
		var figures []string
		for _, f := range run.Figures {
			figures = append(figures, f.Name+": "+f.Value)
		}
		text := strings.Join(figures, " · ")
		if len(r.Runs) > 1 {
			text = run.Name + " — " + text + "."
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// span is the time that all runs cover.
func (r *Report) span() (from, to time.Time) {
	for i := range r.Runs {
		rows := r.Runs[i].Rows
		if len(rows) == 0 {
			continue
		}
		first, last := rows[0].Time, rows[len(rows)-1].Time
		if from.IsZero() || first.Before(from) {
			from = first
		}
		if last.After(to) {
			to = last
		}
	}
	return from.UTC(), to.UTC()
}

// value returns a figure of a run, a dash if it has none of that name.
func (r *Run) value(name string) string {
	for _, f := range r.Figures {
		if f.Name == name {
			return cmp.Or(f.Value, "–")
		}
	}
	return "–"
}
