package dashboard

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// state is how a workload fares. They are ordered by how much they need attention.
type state int

const (
	broken   state = iota // nothing is decided or written
	held                  // by what the policy did not ask for
	changing              // replicas are being added or removed
	limited               // held by what the policy asks for
	steady
)

// noteAfter is how old the last decision must be before a note that there is no newer one needs attention: a write takes seconds.
const noteAfter = time.Minute

// stateOf judges a workload as of a tick.
func stateOf(w *Workload, now time.Time) state {
	d := w.Decision
	switch {
	case len(w.Problems) > 0, w.WriteProblem != "", w.Note != "" && now.Sub(d.Time) >= noteAfter:
		return broken
	case d.Desired != d.Current:
		return changing
	case chart.FamilyOf(d.Reason) == chart.Limits:
		return limited
	case d.Reason.Holds():
		return held
	}
	return steady
}

// badge is a state as it is shown: never by colour alone.
type badge struct{ Class, Mark, Text string }

// badgeOf shows the state of a workload.
func badgeOf(w *Workload, s state) badge {
	d := w.Decision
	switch {
	case s == broken && len(w.Problems) > 0:
		return badge{"broken", "✕", "Invalid annotations"}
	case s == broken && w.WriteProblem != "":
		return badge{"broken", "✕", "Write failed"}
	case s == broken:
		return badge{"broken", "✕", "No decision"}
	case s == changing:
		return changeBadge(d, w.DryRun)
	case s == held, s == limited:
		family := chart.FamilyOf(d.Reason)
		return badge{string(family), "❙❙", "Held " + holders[family]}
	}
	return badge{"steady", "✓", "Steady"}
}

// changeBadge shows which way the replicas go.
func changeBadge(d *policy.Decision, dryRun bool) badge {
	b := badge{"up", "▲", "Scaling up"}
	if d.Desired < d.Current {
		b = badge{"down", "▼", "Scaling down"}
	}
	if dryRun {
		b.Text = map[string]string{"up": "Would scale up", "down": "Would scale down"}[b.Class]
	}
	return b
}
