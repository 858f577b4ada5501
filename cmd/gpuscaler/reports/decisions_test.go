package reports

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// printed is a table as text.
func printed(t *decisionTable) string {
	var lines []string
	for _, l := range t.Lines {
		lines = append(lines, strings.Join(slices.DeleteFunc([]string{l.Class, l.Time, l.Replicas, l.Reason, l.Message}, func(s string) bool { return s == "" }), " "))
	}
	return strings.Join(lines, "\n")
}

func TestDecisionTable(t *testing.T) {
	var decisions []Decision
	for i, to := range []int{2, 2, 2, 4, 4, 4, 4} {
		decisions = append(decisions, Decision{Time: begin.Add(time.Duration(i) * time.Second), From: to, To: to, Reason: policy.DesiredWithinRange, Message: fmt.Sprint("m", i)})
	}
	decisions[3].From, decisions[3].Reason = 2, policy.ReadyForNewScale
	decisions[6].Events = []string{"an outage"}
	table := newDecisionTable(&Run{Name: "x", Decisions: decisions})
	want := `09:00:00 2 DesiredWithinRange m0
folded … 2 ticks like it
changed 09:00:03 2 → 4 ReadyForNewScale m3
09:00:04 4 DesiredWithinRange m4
folded … 1 tick like it
event 09:00:06 an outage
09:00:06 4 DesiredWithinRange m6`
	if got := printed(&table); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A table that is too long lists changes and events only, with their days.
func TestLongDecisionTable(t *testing.T) {
	var decisions []Decision
	for i := range 3 * maxLines {
		d := Decision{Time: begin.Add(time.Duration(i) * time.Minute), From: 3, To: 3, Reason: policy.NoData}
		switch i % 3 {
		case 1:
			d.From, d.Reason = 2, policy.ReadyForNewScale
		case 2:
			d.Reason = policy.LoadingPods
		}
		decisions = append(decisions, d)
	}
	table := newDecisionTable(&Run{Decisions: decisions})
	if len(table.Lines) != maxLines || table.Left != 2*maxLines || table.Lines[0].Class != "changed" || table.Lines[0].Time != "03-01 09:01:00" {
		t.Errorf("%d lines, %d left out, the first %v", len(table.Lines), table.Left, table.Lines[0])
	}
}
