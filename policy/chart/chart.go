package chart

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Chart is panels on one time axis, and the stretches in which a reason held the replicas.
type Chart struct {
	// Title and Caption say what it is about, where nothing around it does. They may be empty.
	Title, Caption string
	Start, End     time.Time
	Panels         []Panel
	Bands          []Band
}

// Panel is lines that share a unit.
type Panel struct {
	Title, Unit string
	// Max is the end of the unit's range, such as 100 percent; 0 if it has none.
	Max float64
	// Whole says that the values are counts.
	Whole bool
	Lines []Line
}

// Role is what a line is about, by which it is drawn.
type Role string

// The roles.
const (
	// Value is what was read of a signal, Target what it should be at most.
	Value  Role = "value"
	Target Role = "target"
	// Desired is what was decided, Replicas is spec.replicas where that is something else.
	Desired  Role = "desired"
	Replicas Role = "replicas"
	// Ready pods serve. Pending counts all pods, so that what is above Ready is loading or unschedulable.
	Ready   Role = "ready"
	Pending Role = "pending"
	// Minimum and Maximum are the bounds.
	Minimum Role = "minimum"
	Maximum Role = "maximum"
	// Run is one of several runs that are compared.
	Run Role = "run"
)

// Line is a value over time. Those that come later are drawn above the others.
type Line struct {
	Name string
	Role Role
	// Step says that a value lasts until the next.
	Step   bool
	Points []Point
}

// Point is a value at one time; NaN begins a gap.
type Point struct {
	Time  time.Time
	Value float64
}

// Band is a stretch in which the decisions had one reason that holds. One that was decided only at the end of the chart has no length.
type Band struct {
	From, To time.Time
	Reason   policy.Reason
}
