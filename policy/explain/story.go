package explain

import (
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Story is one decision, told.
type Story struct {
	// Time is that of the decision.
	Time time.Time `json:"time"`
	// Summary is the outcome in a sentence.
	Summary string `json:"summary"`
	// Decision is the outcome in full.
	Decision policy.Outcome `json:"decision"`
	// Signals are what was read, in the order of the documentation.
	Signals []Signal `json:"signals"`
	// Stages are what became of it.
	Stages []Stage `json:"stages"`
	// Changes are the smallest changes that would change the outcome, each of one thing.
	Changes []Change `json:"changes"`
	// Horizon is how far ahead the changes were tried, in seconds; 0 if none were.
	Horizon float64 `json:"horizonSeconds"`
}

// Stage is what one stage made of the number of the stage before.
type Stage struct {
	policy.NamedStage
	// Changed says that it is another number than before.
	Changed bool `json:"changed"`
	// Text says why, in words.
	Text string `json:"text"`
}

// Of tells the decision that an input leads to.
func Of(in *policy.Input) Story {
	d, next := in.Decide()
	s := Told(d.Outcome(), in.Time)
	for i := range s.Signals {
		s.Signals[i].sampled(in, &d, &next)
	}
	f := newFuture(in, &d)
	s.Changes, s.Horizon = f.changes(&s), f.horizon().Seconds()
	return s
}

// Told tells a decision of which no more is known than its outcome.
func Told(o policy.Outcome, at time.Time) Story {
	return Story{
		Time: at.UTC(), Summary: summary(&o), Decision: o,
		Signals: signalsOf(&o), Stages: stagesOf(&o, at), Changes: []Change{},
	}
}

// summary is the outcome in a sentence.
func summary(o *policy.Outcome) string {
	text := "keeps " + replicas(o.Current)
	switch {
	case o.Desired > o.Current:
		text = fmt.Sprintf("raises %s to %d", replicas(o.Current), o.Desired)
	case o.Desired < o.Current:
		text = fmt.Sprintf("lowers %s to %d", replicas(o.Current), o.Desired)
	}
	text += fmt.Sprintf(" (%s): %s", o.Reason, Meaning(o.Reason))
	if !o.Until.IsZero() {
		text += ", until " + clock(o.Until)
	}
	return text
}

// stagesOf tells the stages.
func stagesOf(o *policy.Outcome, at time.Time) []Stage {
	before := o.Current
	list := make([]Stage, len(o.Stages))
	for i, named := range o.Stages {
		s := Stage{NamedStage: named, Changed: named.Replicas != before}
		switch {
		case i == 0:
			s.Text = asked(o, named)
		case s.Changed || i == len(o.Stages)-1 && named.Reason == o.Reason && o.Reason.Holds():
			s.Text = Meaning(named.Reason)
		default:
			s.Text = "unchanged"
		}
		if (s.Changed || i == 0) && !named.Until.IsZero() {
			s.Text += fmt.Sprintf(", until %s, for another %s", clock(named.Until), span(named.Until.Sub(at)))
		}
		list[i], before = s, named.Replicas
	}
	return list
}

// asked tells who asks for the recommended number.
func asked(o *policy.Outcome, stage policy.NamedStage) string {
	var by []policy.Signal
	for _, signal := range InOrder(o.Signals) {
		if s := o.Signals[signal]; s.Value != nil && s.Recommended == stage.Replicas {
			by = append(by, signal)
		}
	}
	if len(by) == 0 || !natural(stage.Reason) {
		return Meaning(stage.Reason)
	}
	text := "asked for by " + listed(by)
	if stage.Replicas == o.Current {
		text += ": " + Meaning(stage.Reason)
	}
	return text
}

// natural reports whether a recommendation comes from the readings alone.
func natural(r policy.Reason) bool {
	return r == policy.ReadyForNewScale || r == policy.DesiredWithinRange || r == policy.WithinTolerance || r == policy.LoadingPods || r == policy.NotResponding
}
