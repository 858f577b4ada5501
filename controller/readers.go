package controller

import (
	"context"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// SignalReader reads built-in signals.
type SignalReader interface {
	// Read returns the present readings of one signal for all pods of the namespaces, which are sorted. It honours the deadline of ctx.
	// An error means that nothing was read; its text is shown to people.
	Read(ctx context.Context, signal policy.Signal, namespaces []string) (Readings, error)
}

// TimeReader reads when samples were taken. It is asked for few targets and only for a while after they were raised.
type TimeReader interface {
	// ReadTimes returns Readings whose samples have a Time and no Value. What cannot be read stays unknown.
	ReadTimes(ctx context.Context, signal policy.Signal, namespaces []string) (Readings, error)
}

// QueryReader reads custom signals.
type QueryReader interface {
	// ReadQuery runs the query that the administrator gave this name, for one Deployment. It honours the deadline of ctx.
	// An error means that nothing was read; its text is shown to people.
	ReadQuery(ctx context.Context, query, namespace, deployment string) (Readings, error)
}

// RangeReader reads the past, to fill the windows of a Controller that has just started.
type RangeReader interface {
	// ReadRange returns what Read would have returned at start, start+step and so on up to and including end, oldest first. Times without a reply are left out.
	ReadRange(ctx context.Context, signal policy.Signal, namespaces []string, start, end time.Time, step time.Duration) ([]PastReadings, error)
}

// Readings are the reply for one signal: either one sample per pod, or one for the whole workload.
type Readings struct {
	// Pod returns the sample of a pod; OK is false in it where there is none. The source names where it came from, for people.
	// The time of a sample is in this process's clock; zero if all that is known is that the reply bounded its age.
	// Pod is called from several goroutines at once. Nil means that no pod has a sample.
	Pod func(namespace, name string) (sample policy.Sample, source string)
	// Workload is the sample of the whole workload, nil for a per-pod signal.
	Workload *policy.Sample
	// Source names where Workload came from, for people.
	Source string
	// Partial, if not empty, says why the reply may lack samples without saying which: then none of it is trusted.
	Partial string
	// Dropped are the samples that were refused.
	Dropped []Dropped
}

// Dropped counts samples that were refused for one reason.
type Dropped struct {
	// Why is a word such as "range", "stale" or "identity", and becomes the label of a metric.
	Why   string
	Count int
}

// PastReadings are the Readings of a time in the past.
type PastReadings struct {
	Time time.Time
	Readings
}
