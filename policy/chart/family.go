package chart

import "github.com/gpuscaler/gpuscaler/policy"

// Family groups reasons that are drawn in one colour.
type Family string

// The families.
const (
	// Data is missing, old or not to be believed.
	Data Family = "data"
	// Capacity is short, on its way, or does not help.
	Capacity Family = "capacity"
	// Limits are windows, budgets and bounds that the policy asks for.
	Limits Family = "limits"
	// Others are people, schedules and other programs.
	Others Family = "others"
)

// Families returns the families in the order in which they are drawn.
func Families() []Family { return []Family{Data, Capacity, Limits, Others} }

// Text tells what the reasons of the family have in common.
func (f Family) Text() string {
	switch f {
	case Data:
		return "data is missing or cannot be trusted"
	case Capacity:
		return "GPUs or pods are not there yet, or do not help"
	case Limits:
		return "windows, rate limits and bounds of the policy"
	case Others:
		return "people, schedules, pauses and other programs"
	}
	return ""
}

// meaning is what a reason that holds says, in words.
type meaning struct {
	family Family
	text   string
}

var meanings = map[policy.Reason]meaning{
	policy.NoData:      {Data, "there is no usable sample: the replicas stay"},
	policy.PartialData: {Data, "too few pods, or not all signals, have samples: nothing is lowered"},
	policy.StaleData:   {Data, "the samples are too old to be trusted"},
	policy.Gap:         {Data, "after a gap in the data nothing is lowered before a full window of good data"},
	policy.Stalled:     {Data, "requests wait and no token comes: more replicas would not help"},

	policy.LoadingPods:       {Capacity, "pods that are still loading count as capacity on its way"},
	policy.Overdue:           {Capacity, "pods should be ready by now and are not"},
	policy.UnschedulablePods: {Capacity, "the cluster has no GPU for more pods"},
	policy.GaveBack:          {Capacity, "pods that wait for a GPU and are not needed any more are given back"},
	policy.CrashLoop:         {Capacity, "no pod of the newest template comes up: it gets no more of them"},
	policy.NotResponding:     {Capacity, "more replicas have not lowered the signal"},

	policy.ScaleDownStabilized: {Limits, "the highest recommendation of the scale-down window counts"},
	policy.ScaleUpStabilized:   {Limits, "the lowest recommendation of the scale-up window counts"},
	policy.ScaleUpLimit:        {Limits, "the scale-up policies allow no faster change"},
	policy.ScaleDownLimit:      {Limits, "the scale-down policies allow no faster change"},
	policy.TooManyReplicas:     {Limits, "more than the maximum is wanted"},
	policy.TooFewReplicas:      {Limits, "less than the minimum is wanted"},
	policy.Idle:                {Limits, "no work has been seen for long enough: scaled to zero"},
	policy.Activated:           {Limits, "work was seen at zero replicas: scaled up again"},

	policy.Override:           {Others, "a person set the replicas, which is respected for a while"},
	policy.ReplicasReset:      {Others, "an apply set the replicas back"},
	policy.Paused:             {Others, "paused by annotation"},
	policy.Scheduled:          {Others, "the schedule sets the bound"},
	policy.Conflict:           {Others, "another autoscaler or program changes the same replicas"},
	policy.ScalingDisabled:    {Others, "somebody set the replicas to 0, which stays"},
	policy.DryRun:             {Others, "dry run: decided, and not written"},
	policy.InvalidAnnotations: {Others, "the annotations are invalid"},
}

// FamilyOf returns the family of a reason that holds, empty for another.
func FamilyOf(r policy.Reason) Family { return meanings[r].family }

// Meaning tells a reason that holds in words, empty for another.
func Meaning(r policy.Reason) string { return meanings[r].text }
