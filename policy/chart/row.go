// Package chart says what a chart of decisions shows: lines, targets and the stretches in which a reason held, on one time axis. It
// makes values only; how they are drawn is the command line's part.
package chart

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Row is a workload at one time, as it is charted.
type Row struct {
	Time time.Time
	// Replicas is spec.replicas before the decision, Desired what was decided.
	Replicas, Desired int
	// Ready, Loading and Unschedulable count its pods.
	Ready, Loading, Unschedulable int
	// Min and Max are the bounds; a Max of 0 says that they are not known.
	Min, Max int
	Reason   policy.Reason
	Signals  []Reading
}

// Reading is a signal at one time.
type Reading struct {
	Signal policy.Signal
	// Value is in the signal's unit, NaN if there was no sample that could be used. Target is 0 if there is none.
	Value, Target float64
}
