package policy

import (
	"fmt"
	"slices"
	"time"
)

// Others' hands are seen (rule 7). A person's change of replicas is respected for a while; one by a program that knows nothing of load
// is undone, unless it comes back again and again.

// Hands remembers who changed spec.replicas.
type Hands struct {
	// Replicas is spec.replicas as it was seen or written last, Since when it changed; zero if nothing was seen yet.
	Replicas int       `json:"replicas"`
	Since    time.Time `json:"since,omitzero"`
	// Override is a person's own change.
	Override PersonsNumber `json:"override,omitzero"`
	// Restore is the number that a reset took away, 0 if none did.
	Restore int `json:"restore,omitempty"`
	// Resets are the times of the last resets, By the manager of the last one.
	Resets []time.Time `json:"resets,omitempty"`
	By     string      `json:"by,omitempty"`
	// StoppedUntil is until when nothing is written, because By undid each write.
	StoppedUntil time.Time `json:"stoppedUntil,omitzero"`
	// Zeroed says that the last write was ours and to zero.
	Zeroed bool `json:"zeroed,omitempty"`
}

// PersonsNumber is a person's own change of replicas: a floor if it raised them, else a ceiling.
type PersonsNumber struct {
	Replicas int       `json:"replicas"`
	Raised   bool      `json:"raised"`
	Until    time.Time `json:"until"`
	Manager  string    `json:"manager,omitempty"`
}

const (
	// maxResets within resetMemory are too many to be chance. Nothing is written for resetPause then.
	maxResets               = 3
	resetMemory, resetPause = time.Hour, time.Hour
	// restorePatience is how long a reset is tried to be undone at once; after it the windows and budgets count again.
	restorePatience = time.Minute
)

// attribute finds out whose hand has changed spec.replicas since the last decision.
func (s *State) attribute(spec *Spec, seen *Observation, d *Decision, now time.Time) {
	h := &s.Hands
	before, known := h.Replicas, !h.Since.IsZero()
	if known && before == seen.Replicas {
		if h.Restore > 0 && (h.Restore == seen.Replicas || now.Sub(h.Since) > restorePatience) {
			h.Restore = 0
		}
		return
	}
	h.Replicas, h.Since = seen.Replicas, now
	if !known {
		return
	}
	h.Restore, h.Zeroed = 0, false
	switch seen.Hand.By {
	case OurHand:
		// Another process of ours, whose write was not written down: it counts against the budgets all the same. The API server notes no
		// time for it, but it was about when that process was heard of last.
		at := seen.Hand.Time
		if at.IsZero() {
			at = s.Seen
		}
		s.Events = append(slices.Clip(s.Events), ScaleEvent{Change: seen.Replicas - before, Time: at})
	case PersonsHand:
		h.Override = PersonsNumber{
			Replicas: seen.Replicas, Raised: seen.Replicas > before,
			Until: seen.Hand.at(now).Add(spec.OverrideHold), Manager: seen.Hand.Manager,
		}
	case ResettingHand:
		h.reset(spec, seen, d, before, now)
	default:
		h.Override = PersonsNumber{} // whoever it was, the person's number is no longer what there is
	}
}

// at is when the hand acted, as far as that is known.
func (h *Hand) at(now time.Time) time.Time {
	if h.Time.IsZero() || h.Time.After(now) {
		return now
	}
	return h.Time
}

// reset has the number before come back, unless this is a fight. Whoever writes 0 into a manifest means to switch off, unless 0 is
// where scaling begins.
func (h *Hands) reset(spec *Spec, seen *Observation, d *Decision, before int, now time.Time) {
	if seen.Replicas == 0 && spec.MinReplicas > 0 {
		return
	}
	h.By = seen.Hand.Manager
	resets := slices.DeleteFunc(slices.Clone(h.Resets), func(t time.Time) bool { return now.Sub(t) >= resetMemory })
	h.Resets = append(resets, now)
	if len(h.Resets) < maxResets {
		h.Restore = before
		d.note(ReplicasReset, fmt.Sprintf("%s reset the replicas from %d to %d: leave spec.replicas out of what it applies", h.name(), before, seen.Replicas))
		return
	}
	h.Resets, h.StoppedUntil = nil, now.Add(resetPause)
	d.note(ReplicasReset, fmt.Sprintf("%s reset the replicas from %d to %d, for the third time in an hour: nothing is written until %sZ or until the annotations change; leave spec.replicas out of what it applies",
		h.name(), before, seen.Replicas, h.StoppedUntil.UTC().Format(time.TimeOnly)))
}

// name is the name of the manager that reset.
func (h *Hands) name() string {
	if h.By == "" {
		return "an apply"
	}
	return h.By
}

// fought reports whether another manager undoes each write, so that none is made.
func (s *State) fought(now time.Time) bool { return now.Before(s.Hands.StoppedUntil) }

// overridden returns the override that counts now, nil if none does.
func (s *State) overridden(now time.Time) *PersonsNumber {
	if o := &s.Hands.Override; now.Before(o.Until) {
		return o
	}
	return nil
}

// restored is what a reset took away, within the bounds, 0 if none did. What a reset added is not taken away without data: the guards do that.
func (s *State) restored(b bounds, now time.Time) int {
	if s.Hands.Restore == 0 || s.fought(now) {
		return 0
	}
	return min(max(s.Hands.Restore, b.lower().Replicas), b.maximum)
}

// ourZero reports whether the zero replicas that there are were meant as the place from which activation raises them.
func (s *State) ourZero(spec *Spec, seen *Observation) bool {
	switch seen.Hand.By {
	case OurHand:
		return true
	case CreatorsHand:
		return spec.MinReplicas == 0
	case NoHand:
		return s.Hands.Zeroed
	}
	return false
}
