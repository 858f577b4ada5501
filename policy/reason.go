package policy

import "slices"

// Reason says in one word why a number is what it is. The words are a closed list: HPA's where the thing is HPA's.
type Reason string

// HPA's reasons, as in the conditions of its status.
const (
	ScaleDownStabilized Reason = "ScaleDownStabilized"
	ScaleUpStabilized   Reason = "ScaleUpStabilized"
	ScaleUpLimit        Reason = "ScaleUpLimit"
	ScaleDownLimit      Reason = "ScaleDownLimit"
	TooManyReplicas     Reason = "TooManyReplicas"
	TooFewReplicas      Reason = "TooFewReplicas"
	DesiredWithinRange  Reason = "DesiredWithinRange"
	ReadyForNewScale    Reason = "ReadyForNewScale"
	ScalingDisabled     Reason = "ScalingDisabled"
	SuccessfulRescale   Reason = "SuccessfulRescale"
)

// The reasons that the HPA has no word for.
const (
	WithinTolerance    Reason = "WithinTolerance"
	NoData             Reason = "NoData"
	PartialData        Reason = "PartialData"
	StaleData          Reason = "StaleData"
	Gap                Reason = "Gap"
	LoadingPods        Reason = "Loading"
	Overdue            Reason = "Overdue"
	UnschedulablePods  Reason = "Unschedulable"
	GaveBack           Reason = "GaveBack"
	CrashLoop          Reason = "CrashLoop"
	NotResponding      Reason = "NotResponding"
	Stalled            Reason = "Stalled"
	Conflict           Reason = "Conflict"
	Override           Reason = "Override"
	ReplicasReset      Reason = "ReplicasReset"
	Paused             Reason = "Paused"
	Scheduled          Reason = "Schedule"
	Idle               Reason = "Idle"
	Activated          Reason = "Activated"
	DryRun             Reason = "DryRun"
	InvalidAnnotations Reason = "InvalidAnnotations"
)

var reasons = []Reason{
	ScaleDownStabilized, ScaleUpStabilized, ScaleUpLimit, ScaleDownLimit, TooManyReplicas, TooFewReplicas, DesiredWithinRange,
	ReadyForNewScale, ScalingDisabled, SuccessfulRescale, WithinTolerance, NoData, PartialData, StaleData, Gap, LoadingPods, Overdue,
	UnschedulablePods, GaveBack, CrashLoop, NotResponding, Stalled, Conflict, Override, ReplicasReset, Paused, Scheduled, Idle,
	Activated, DryRun, InvalidAnnotations,
}

// Reasons returns the closed list.
func Reasons() []Reason { return slices.Clone(reasons) }

// Holds reports whether the reason says that a wish to change was held back: what gpuscaler_held exports.
func (r Reason) Holds() bool {
	switch r {
	case DesiredWithinRange, ReadyForNewScale, SuccessfulRescale, WithinTolerance, "":
		return false
	}
	return true
}
