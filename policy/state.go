package policy

import (
	"slices"
	"time"
)

// State is what is remembered of one Deployment between two decisions. It is a plain value: it can be written down as
// JSON and read back, and the same State gives the same Decision. The zero State remembers nothing; the first decision
// seeds it with the current replicas, so that nothing is lowered before a full window has been seen.
type State struct {
	// Newest is the newest recommendation, Past the earlier ones, oldest first. A run of equal recommendations is one
	// entry with the time of its last one: a window looks only at the youngest of each value.
	Newest Recommendation   `json:"newest,omitzero"`
	Past   []Recommendation `json:"past,omitempty"`
	// Events are the changes of replicas that were written, oldest first.
	Events []ScaleEvent `json:"events,omitempty"`
	// Fired are the step scaling bands whose last change was written.
	Fired []Firing `json:"fired,omitempty"`
	// BadSince is when the present stretch without trustworthy data began, zero if there is none.
	BadSince time.Time `json:"badSince,omitzero"`
	// GapEnd is when the last gap ended: good data has been seen since.
	GapEnd time.Time `json:"gapEnd,omitzero"`
	// Seen is when the last decision was made.
	Seen time.Time `json:"seen,omitzero"`
	// Whole is when every replica had a pod last.
	Whole time.Time `json:"whole,omitzero"`
	// Startups are the last times that pods took from their node to Ready.
	Startups Startups `json:"startups,omitempty"`
	// Shortage is how replicas have been waiting for capacity.
	Shortage Shortage `json:"shortage,omitzero"`
	// Hands is who changed spec.replicas.
	Hands Hands `json:"hands,omitzero"`
	// Trial is a raise whose effect is still to be seen, Deaf the raises that had none.
	Trial Trial    `json:"trial,omitzero"`
	Deaf  Deafness `json:"deaf,omitzero"`
	// IdleSince is since when no work has been seen, zero if some was seen or nothing was.
	IdleSince time.Time `json:"idleSince,omitzero"`
	// Stuck are the pods on which requests wait and no token comes, and since when.
	Stuck []PodTime `json:"stuck,omitempty"`
	// Served are the pods on which a rate was above 0, and when last, as long as the scale-down window looks back.
	Served []PodTime `json:"served,omitempty"`
}

// Recommendation is what the signals asked for at a time, before any window or limit.
type Recommendation struct {
	Replicas int       `json:"replicas"`
	Time     time.Time `json:"time"`
}

// ScaleEvent is a change of replicas that was written.
type ScaleEvent struct {
	// Change is the number of replicas added, negative if removed.
	Change int       `json:"change"`
	Time   time.Time `json:"time"`
}

// Wrote returns the State after the decision was written successfully. A write that failed is not recorded: it leaves the
// budgets of the policies as they were.
func (s State) Wrote(d Decision, now time.Time) State {
	if d.Desired == d.Current {
		return s
	}
	if d.Reason != ReplicasReset { // what is only put back costs no budget
		s.Events = append(slices.Clip(s.Events), ScaleEvent{Change: d.Desired - d.Current, Time: now})
	}
	s.fire(&d, now)
	s.try(&d, now)
	s.Hands.Replicas, s.Hands.Since, s.Hands.Zeroed, s.Hands.Restore = d.Desired, now, d.Desired == 0, 0
	if d.Desired > d.Current {
		s.Whole, s.IdleSince = now, time.Time{} // the new pods are yet to come, and there is work for them
	}
	return s
}

// Lasted returns the State of a controller that is known to have gone on until a time, though it did not write down that nothing
// changed: the newest recommendation is taken to have lasted until then, and the pods to have served.
func (s State) Lasted(until time.Time) State {
	if s.Newest == (Recommendation{}) {
		return s
	}
	s.Newest.Time, s.Seen, s.Whole = later(s.Newest.Time, until), later(s.Seen, until), later(s.Whole, until)
	s.Served = slices.Clone(s.Served)
	for i := range s.Served {
		s.Served[i].Time = later(s.Served[i].Time, until)
	}
	return s
}

// Edited returns the State after the annotations were edited: what was stopped for good may be tried again.
func (s State) Edited() State {
	s.Trial, s.Deaf = Trial{}, Deafness{}
	s.Hands.Resets, s.Hands.StoppedUntil = nil, time.Time{}
	return s
}

// resume takes a stretch in which nobody decided for a gap: what was there meanwhile is not known.
func (s *State) resume(spec *Spec, now time.Time) {
	if !s.Seen.IsZero() && spec.Interval > 0 && now.Sub(s.Seen) > spec.longestLapse() {
		s.GapEnd, s.IdleSince = now, time.Time{}
	}
	s.Seen = now
}

// seed starts an empty State from the current replicas, as the HPA does (recordInitialRecommendation).
func (s *State) seed(replicas int, now time.Time) {
	if s.Newest.Time.IsZero() {
		s.Newest = Recommendation{Replicas: replicas, Time: now}
	}
}

// record adds a recommendation. The slice of the State before is left alone.
func (s *State) record(replicas int, now time.Time) {
	if s.Newest.Replicas != replicas {
		s.Past = append(slices.Clip(s.Past), s.Newest)
	}
	s.Newest = Recommendation{Replicas: replicas, Time: now}
}

// forget drops what no window and no period can see any more. It only reslices: nothing is copied or changed.
func (s *State) forget(spec *Spec, now time.Time) {
	cutoff := now.Add(-max(spec.ScaleUp.StabilizationWindow, spec.ScaleDown.StabilizationWindow))
	for len(s.Past) > 0 && !s.Past[0].Time.After(cutoff) {
		s.Past = s.Past[1:]
	}
	// Not the longest of the present policies: an edit may lengthen one.
	cutoff = now.Add(-max(maxPeriod, spec.ScaleDown.StabilizationWindow))
	for len(s.Events) > 0 && !s.Events[0].Time.After(cutoff) {
		s.Events = s.Events[1:]
	}
}

// changeWithin returns the sum of the changes within the period: added less removed. As in the HPA a change counts while
// strictly younger than the period.
func (s *State) changeWithin(period time.Duration, now time.Time) int {
	cutoff, change := now.Add(-period), 0
	for i := range s.Events {
		if s.Events[i].Time.After(cutoff) {
			change += s.Events[i].Change
		}
	}
	return change
}
