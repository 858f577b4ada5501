// Package dashboard serves the pages at / for people: the fleet at a glance, and a page per workload. They are made on the server, work
// without JavaScript, and change nothing. It knows only what a Source tells it.
package dashboard

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// Source is where the pages come from. What it returns is never changed by either side.
type Source interface {
	// Fleet returns all workloads as of the last tick, by namespace and name.
	Fleet() Fleet
	// Detail returns one workload, nil if there is none of that name.
	Detail(namespace, name string) *Detail
}

// Fleet is all that is scaled, as of one tick.
type Fleet struct {
	// Time is the tick's, zero before the first.
	Time      time.Time
	Workloads []Workload
	GPUs      GPUs
}

// GPUs are those of the nodes.
type GPUs struct {
	Total, Free int
	Known       bool
}

// Workload is what is shown of one Deployment.
type Workload struct {
	Namespace, Name string
	// Spec is nil if the annotations have never been valid.
	Spec     *policy.Spec
	Decision *policy.Decision
	// Message tells the decision in a sentence, or why there is none.
	Message func() string
	// Problems are those of its annotations. Note says why the last tick made no decision, WriteProblem why the last write failed.
	Problems           policy.Problems
	Note, WriteProblem string
	DryRun             bool
	// Ready, Loading and Unschedulable count its pods, GPUs is how many these hold, and Free is how many more pods would find room.
	Ready, Loading, Unschedulable, GPUs, Free int
	FreeKnown                                 bool
}

// Detail is one workload with its past.
type Detail struct {
	Workload
	// Time is that of the last tick.
	Time time.Time
	// Annotations are the last valid ones.
	Annotations map[string]string
	// Past returns how many stretches of equal decisions are kept, and up to n of them after the newest skip ones, newest first.
	Past func(skip, n int) (total int, list []Stretch)
	// Story tells the last decision: how it came about, and what would change it.
	Story func() explain.Story
	// Chart draws the last hours, nil if that cannot be done. ChartText tells in words what it shows.
	Chart     func(width int, dark bool) ([]byte, error)
	ChartText func() string
}

// Stretch is a number of ticks whose decision was the same but for the readings.
type Stretch struct {
	// First is the decision of the first tick, Last the time of the last one, and Ticks how many there were.
	First policy.Decision
	Last  time.Time
	Ticks int
}
