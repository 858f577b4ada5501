package reports

import (
	"fmt"
	"slices"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// maxLines is the most lines of a table of decisions. A page with more is slow on a phone.
const maxLines = 2000

// decisionTable is the decisions of a run. Ticks in which nothing changes are folded into one line.
type decisionTable struct {
	Name  string
	Lines []decisionLine
	// Left is how many lines were left out at the end.
	Left int
}

// decisionLine is a decision, an event, or how many ticks were folded.
type decisionLine struct {
	Time, Replicas, Reason, Message string
	// Class is how it is shown: changed, event or folded; Family colours the reason.
	Class  string
	Family chart.Family
}

// newDecisionTable folds the decisions of a run.
func newDecisionTable(run *Run) decisionTable {
	t := decisionTable{Name: run.Name}
	layout := "15:04:05"
	first, last := run.Decisions[0].Time, run.Decisions[len(run.Decisions)-1].Time
	if first.UTC().Format("02.01.2006") != last.UTC().Format("02.01.2006") {
		layout = "01-02 15:04:05"
	}
	folded := 0
	for i := range run.Decisions {
		d := &run.Decisions[i]
		if i > 0 && len(d.Events) == 0 && d.like(&run.Decisions[i-1]) {
			folded++
			continue
		}
		t.fold(&folded)
		at := d.Time.UTC().Format(layout)
		for _, e := range d.Events {
			t.Lines = append(t.Lines, decisionLine{Time: at, Message: e, Class: "event"})
		}
		t.Lines = append(t.Lines, d.line(at))
	}
	t.fold(&folded)
	if len(t.Lines) > maxLines {
		t.shorten()
	}
	return t
}

// like reports whether a decision says the same as the one before. The message does not count, since it counts down.
func (d *Decision) like(before *Decision) bool {
	return d.From == d.To && d.To == before.To && d.Reason == before.Reason
}

// line shows a decision.
func (d *Decision) line(at string) decisionLine {
	l := decisionLine{Time: at, Replicas: fmt.Sprint(d.To), Reason: string(d.Reason), Message: d.Message, Family: chart.FamilyOf(d.Reason)}
	if d.From != d.To {
		l.Replicas, l.Class = fmt.Sprintf("%d → %d", d.From, d.To), "changed"
	}
	return l
}

// fold tells how many ticks were left out.
func (t *decisionTable) fold(n *int) {
	if *n > 0 {
		text := fmt.Sprintf("… %d ticks like it", *n)
		if *n == 1 {
			text = "… 1 tick like it"
		}
		t.Lines = append(t.Lines, decisionLine{Message: text, Class: "folded"})
	}
	*n = 0
}

// shorten keeps only changes and events, and of these no more than fit.
func (t *decisionTable) shorten() {
	all := len(t.Lines)
	t.Lines = slices.DeleteFunc(t.Lines, func(l decisionLine) bool { return l.Class != "changed" && l.Class != "event" })
	t.Lines = t.Lines[:min(len(t.Lines), maxLines)]
	t.Left = all - len(t.Lines)
}
