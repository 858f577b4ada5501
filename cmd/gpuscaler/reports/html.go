package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/draw"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

var (
	//go:embed report.html
	pageText string
	//go:embed report.css
	styleText string

	page = template.Must(template.New("report").Parse(pageText))
)

// The widths of a chart on a screen and on a phone: the page shows the one that fits.
const (
	wide   = 960
	narrow = 380
)

// view is what the page shows.
type view struct {
	Title, About, From, To string
	Style                  template.CSS
	// Names are those of the runs, Single says that there is but one.
	Names   []string
	Single  bool
	Figures []figureRow
	Notes   []string
	Charts  []chartView
	Legend  []familyView
	Tables  []decisionTable
	Setup   []settingTable

	SourceName, Source, Version string
}

// figureRow is a figure of all runs.
type figureRow struct {
	Name   string
	Values []string
}

// chartView is a chart in both widths. The library escapes what it writes into them.
type chartView struct {
	Name, Text   string
	Wide, Narrow template.HTML
}

// familyView explains a colour and the reasons drawn in it.
type familyView struct {
	Family  chart.Family
	Text    string
	Reasons []reasonView
}

type reasonView struct{ Reason, Text string }

// settingTable is the annotations of a run.
type settingTable struct {
	Name     string
	Settings []Setting
}

// HTML writes the report.
func (r *Report) HTML(out io.Writer) error {
	v, err := r.view()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := page.Execute(&text, v); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	_, err = text.WriteTo(out)
	return err
}

// view gathers what the page shows.
func (r *Report) view() (*view, error) {
	from, to := r.span()
	layout := "2006-01-02 15:04:05"
	v := &view{
		Title: r.Title, About: r.About, From: from.Format(layout), To: to.Format(layout), Single: len(r.Runs) == 1, Notes: r.Notes,
		SourceName: r.SourceName, Source: r.Source, Version: r.Version, Figures: r.figures(), Style: style(),
	}
	var bands []chart.Band
	if !v.Single {
		c, err := newChartView("All in one chart", r.chart())
		if err != nil {
			return nil, err
		}
		v.Charts = append(v.Charts, c)
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		v.Names = append(v.Names, run.Name)
		c := chart.Of(run.Rows)
		bands = append(bands, c.Bands...)
		drawn, err := newChartView(run.Name, c)
		if err != nil {
			return nil, err
		}
		v.Charts = append(v.Charts, drawn)
		if len(run.Decisions) > 0 {
			v.Tables = append(v.Tables, newDecisionTable(run))
		}
		if len(run.Settings) > 0 {
			v.Setup = append(v.Setup, settingTable{run.Name, run.Settings})
		}
	}
	v.Legend = legend(bands)
	return v, nil
}

// newChartView draws a chart.
func newChartView(name string, c chart.Chart) (chartView, error) {
	v := chartView{Name: name, Text: c.Text()}
	for _, d := range []struct {
		width int
		to    *template.HTML
	}{{wide, &v.Wide}, {narrow, &v.Narrow}} {
		text, err := draw.Inline(c, d.width)
		if err != nil {
			return v, err
		}
		*d.to = template.HTML(text)
	}
	return v, nil
}

// figures puts the figures of the runs side by side, in the order in which they first come.
func (r *Report) figures() []figureRow {
	var rows []figureRow
	for i := range r.Runs {
		for _, f := range r.Runs[i].Figures {
			if slices.ContainsFunc(rows, func(row figureRow) bool { return row.Name == f.Name }) {
				continue
			}
			row := figureRow{Name: f.Name}
			for j := range r.Runs {
				row.Values = append(row.Values, r.Runs[j].value(f.Name))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// legend explains the reasons of the bands, by family.
func legend(bands []chart.Band) []familyView {
	var families []familyView
	for _, f := range chart.Families() {
		v := familyView{Family: f, Text: f.Text()}
		for _, b := range bands {
			r := reasonView{string(b.Reason), chart.Meaning(b.Reason)}
			if chart.FamilyOf(b.Reason) == f && !slices.Contains(v.Reasons, r) {
				v.Reasons = append(v.Reasons, r)
			}
		}
		if len(v.Reasons) > 0 {
			families = append(families, v)
		}
	}
	return families
}

// style is the page's style sheet. The light colours are the rule; paper is light whatever the screen is.
func style() template.CSS {
	return template.CSS(":root{color-scheme:light dark;" + draw.Variables(draw.Light) + "}\n" +
		"@media screen and (prefers-color-scheme:dark){:root{" + draw.Variables(draw.Dark) + "}}\n" +
		"@media print{:root{color-scheme:light}}\n" + styleText)
}
