package policy

import (
	"math"
	"slices"
	"time"
)

// Spec is what is asked of one Deployment: its annotations, parsed, with the controller's own settings beside them.
type Spec struct {
	// MinReplicas and MaxReplicas are the bounds, enforced with or without metrics.
	MinReplicas int `json:"minReplicas"`
	MaxReplicas int `json:"maxReplicas"`
	// Targets are tracked together; the largest recommendation wins.
	Targets []Target `json:"targets,omitempty"`
	// Steps are step scaling policies, alone or beside the Targets.
	Steps []Steps `json:"steps,omitempty"`
	// ScaleUp and ScaleDown are the rules of each direction.
	ScaleUp   Rules `json:"scaleUp"`
	ScaleDown Rules `json:"scaleDown"`
	// Paused stops one direction or both.
	Paused Direction `json:"paused,omitzero"`
	// Schedule changes the bounds by time.
	Schedule []Span `json:"schedule,omitempty"`
	// Startup is how long a new replica takes to serve, 0 to learn it.
	Startup time.Duration `json:"startup,omitzero"`
	// MaxPending is how many unschedulable pods may be left waiting, AllPending for any number. Nil means all for CapacityWait and then one.
	MaxPending *int `json:"maxPending,omitempty"`
	// CapacityWait is how long a cluster autoscaler is given to add nodes.
	CapacityWait time.Duration `json:"capacityWait,omitzero"`
	// OverrideHold is how long a person's own change of replicas is respected.
	OverrideHold time.Duration `json:"overrideHold,omitzero"`
	// LeastBusy asks that the least busy pods are removed first. Decide does not look at it.
	LeastBusy bool `json:"leastBusy,omitzero"`
	// StopNotResponding forbids raises that have shown not to help. GPUMemory is stopped in any case, unless WarnNotResponding was asked for.
	StopNotResponding bool `json:"stopNotResponding,omitzero"`
	WarnNotResponding bool `json:"warnNotResponding,omitzero"`
	// IdleAfter is how long no work must be seen before scaling to zero, 0 for never.
	IdleAfter time.Duration `json:"idleAfter,omitzero"`
	// ActivateOn is the workload signal that wakes the Deployment from zero, empty if none does.
	ActivateOn Signal `json:"activateOn,omitzero"`
	// DryRun decides and reports, and never writes. Decide itself does not look at it.
	DryRun bool `json:"dryRun,omitzero"`
	// Scrape is where the pods themselves tell the signals of their engine; the zero Scrape if they are not asked.
	Scrape Scrape `json:"scrape,omitzero"`
	// Queries names the administrator's query behind each custom signal.
	Queries map[Signal]string `json:"queries,omitempty"`

	// MaxSampleAge is the age beyond which a sample is missing.
	MaxSampleAge time.Duration `json:"maxSampleAge"`
	// Interval is the time between two ticks.
	Interval time.Duration `json:"interval"`
}

// Scrape is where a pod serves its metrics: http://POD-IP:PORT/PATH.
type Scrape struct {
	// Port is from 1 to 65535, 0 for none.
	Port int `json:"port"`
	// Path begins with a slash.
	Path string `json:"path"`
}

// Target asks for an average value of a signal per ready replica.
type Target struct {
	Signal Signal `json:"signal"`
	// Value is in the signal's unit and above 0.
	Value float64 `json:"value"`
}

// Signals returns the signals that must be read to decide, each once, in the order of the documentation.
func (s *Spec) Signals() []Signal {
	var list []Signal
	for _, t := range s.Targets {
		list = append(list, t.Signal)
	}
	for _, st := range s.Steps {
		if !slices.Contains(list, st.Signal) {
			list = append(list, st.Signal)
		}
	}
	if s.ActivateOn != "" && !slices.Contains(list, s.ActivateOn) {
		list = append(list, s.ActivateOn)
	}
	slices.SortFunc(list, compareSignals)
	return list
}

// AllPending is the MaxPending that leaves all unschedulable pods waiting.
const AllPending = math.MaxInt32

// Rules are HPA's scaling rules of one direction.
type Rules struct {
	// StabilizationWindow is how far back recommendations are considered: the number of replicas is raised only to the
	// lowest and lowered only to the highest of the window.
	StabilizationWindow time.Duration `json:"stabilizationWindow"`
	// Policies limit the change within a period.
	Policies []ScalingPolicy `json:"policies"`
	// SelectPolicy says which of the Policies counts.
	SelectPolicy SelectPolicy `json:"selectPolicy"`
	// Tolerance is the relative deviation from the target that is left alone: 0.1 is 10 %.
	Tolerance float64 `json:"tolerance"`
}

// ScalingPolicy limits the change within a period to a number of pods or a percentage of the replicas at its start.
type ScalingPolicy struct {
	Type   ScalingPolicyType `json:"type"`
	Value  int               `json:"value"`
	Period time.Duration     `json:"period"`
}

// ScalingPolicyType is the kind of a ScalingPolicy.
type ScalingPolicyType uint8

// HPA's policy types.
const (
	Pods ScalingPolicyType = iota
	Percent
)

// SelectPolicy says which of several policies counts.
type SelectPolicy uint8

// HPA's select policies.
const (
	MaxChange SelectPolicy = iota
	MinChange
	Disabled
)

// Direction is a set of directions.
type Direction uint8

// The directions.
const (
	Up   Direction = 1 << iota
	Down           // and Up|Down is both
)
