package policy

import "time"

// Summary is a Decision as plan, simulate and the HTTP API print it.
type Summary struct {
	Recommended int       `json:"recommended"`
	Guarded     int       `json:"guarded"`
	Stabilized  int       `json:"stabilized"`
	Limited     int       `json:"limited"`
	Desired     int       `json:"desired"`
	Reason      Reason    `json:"reason"`
	Message     string    `json:"message"`
	Until       time.Time `json:"until,omitzero"`
	// Notes are those of the Decision: their texts are in Message too, unless it says the same already.
	Notes []Note `json:"notes,omitempty"`
	// Signals are by name. Of a signal with a target and steps it is the target, and the larger recommendation.
	Signals map[Signal]SignalSummary `json:"signals"`
}

// SignalSummary is one signal of a Summary.
type SignalSummary struct {
	// Value is null if there is no sample that can be used.
	Value *float64 `json:"value"`
	// Target is 0 if the signal has steps only.
	Target      float64 `json:"target"`
	Recommended int     `json:"recommended"`
	Missing     int     `json:"missing"`
	// Reason, Detail and Source are those of the SignalDecision.
	Reason Reason `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	Source string `json:"source,omitempty"`
}

// Summary renders the decision.
func (d *Decision) Summary() Summary {
	s := Summary{
		Recommended: d.Recommended.Replicas,
		Guarded:     d.Guarded.Replicas,
		Stabilized:  d.Stabilized.Replicas,
		Limited:     d.Limited.Replicas,
		Desired:     d.Desired,
		Reason:      d.Reason,
		Message:     d.Message(),
		Until:       d.Until,
		Notes:       d.Notes,
		Signals:     make(map[Signal]SignalSummary, len(d.Signals)),
	}
	for i := range d.Signals {
		sd := &d.Signals[i]
		view := SignalSummary{
			Target: sd.Target, Recommended: sd.Recommended, Missing: sd.Missing, Reason: sd.Reason, Detail: sd.Detail, Source: sd.Source,
		}
		if sd.Sampled > 0 {
			view.Value = &sd.Value
		}
		if targeted, ok := s.Signals[sd.Signal]; ok {
			targeted.Recommended = max(targeted.Recommended, sd.Recommended)
			view = targeted
		}
		s.Signals[sd.Signal] = view
	}
	return s
}
