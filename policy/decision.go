package policy

import "time"

// Decision is what to do about one Deployment, with every stage on the way to it. It is the one value that is rendered
// as log line, Event, metric, table, JSON and chart.
type Decision struct {
	Time time.Time
	// Current is spec.replicas before the decision.
	Current int
	// Recommended is what the signals ask for.
	Recommended Stage
	// Guarded is Recommended clipped to the floor and the ceiling of the safety rules.
	Guarded Stage
	// Stabilized is Guarded held by the stabilization windows.
	Stabilized Stage
	// Limited is Stabilized within the budgets of the scaling policies, clipped to floor and ceiling again.
	Limited Stage
	// Bounded is Limited within minimum and maximum, unless pausing or freezing forbids even that.
	Bounded Stage
	// Desired is the outcome: Bounded.Replicas.
	Desired int
	// Reason is that of the last stage that changed the number.
	Reason Reason
	// Until is when that reason ends by itself, zero if no time can be told.
	Until time.Time
	// Fleet is what the pods are worth.
	Fleet Fleet
	// Notes tell what else is to be known, whether or not it changed a number: at most one for each Reason.
	Notes []Note
	// Signals tells for each signal of the Spec what was read and what it asks for.
	Signals []SignalDecision

	// lacking is what a further pod lacks, and rival who else scales; both in words.
	lacking, rival string
	// load is what arrives now, if loaded says that it is known.
	load   float64
	loaded bool
}

// note adds something to be known. The first of a Reason stays.
func (d *Decision) note(reason Reason, text string) {
	for i := range d.Notes {
		if d.Notes[i].Reason == reason {
			return
		}
	}
	d.Notes = append(d.Notes, Note{Reason: reason, Text: text})
}

// Fleet counts the replicas by what they are worth. During a rollout the pods beyond spec.replicas are among them.
type Fleet struct {
	// Ready pods serve; those that ceased to be Ready just now are among them.
	Ready int `json:"ready"`
	// Loading pods are on their way and credited: placed, or about to be. Fresh are those of them that have no node yet.
	Loading int `json:"loading"`
	Fresh   int `json:"fresh"`
	// Overdue pods have a node and should be Ready by now.
	Overdue int `json:"overdue"`
	// Unschedulable replicas have no node, or not even a pod, and will not get one soon.
	Unschedulable int `json:"unschedulable"`
	// Startup is how long a new replica is taken to need from its node to Ready.
	Startup time.Duration `json:"startup"`
}

// Placed returns how many replicas hold their GPUs.
func (f *Fleet) Placed() int { return f.Ready + f.Loading - f.Fresh + f.Overdue }

// Note is something to be known beside the outcome.
type Note struct {
	Reason Reason `json:"reason"`
	// Text is a sentence for people.
	Text string `json:"text"`
}

// Stage is the number of replicas after one stage.
type Stage struct {
	Replicas int    `json:"replicas"`
	Reason   Reason `json:"reason"`
	// Until is when the reason ends by itself if all else stays as it is, zero if no time can be told.
	Until time.Time `json:"until,omitzero"`
}

// SignalDecision is one signal's part in a Decision.
type SignalDecision struct {
	Signal Signal
	// Value is the average over the ready pods that were sampled, in the signal's unit; meaningless if Sampled is 0.
	Value  float64
	Target float64
	// Recommended is the number of replicas that this signal alone asks for; the current number if it abstains or is missing.
	Recommended int
	// Sampled and Missing count the ready pods with and without a sample that can be used.
	Sampled, Missing int
	// Idle counts the ready pods that are known to have had nothing to measure.
	Idle int
	// Reason is empty if the signal was read and scored, else why not or why it does not count.
	Reason Reason
	// Source names where the samples came from.
	Source string
	// Detail tells in words what is behind Reason.
	Detail string

	// most is the largest sample, in thousandths; perWorkload says that there is but one.
	most        int64
	perWorkload bool
	// steps and band are the band that asks for Recommended, nil if none does.
	steps *Steps
	band  int
	// abstains says that the signal only raises and does not ask for more.
	abstains bool
	// carrier is the signal that keeps the queue from asking for fewer replicas, the queue itself if no other tells; empty if nothing does.
	carrier Signal
}

// settle fills in the outcome from the stages.
func (d *Decision) settle() {
	d.Desired = d.Bounded.Replicas
	d.Reason, d.Until = d.Recommended.Reason, d.Recommended.Until
	before := d.Recommended.Replicas
	for _, stage := range [...]*Stage{&d.Guarded, &d.Stabilized, &d.Limited, &d.Bounded} {
		if stage.Replicas != before {
			d.Reason, d.Until = stage.Reason, stage.Until
		}
		before = stage.Replicas
	}
	if d.Bounded.Reason == Idle { // the signals alone would have kept the last replica
		d.Reason, d.Until = Idle, time.Time{}
	}
}
