package controller

import (
	"context"
	"net/netip"
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

// DirectReader reads built-in signals straight from where they arise, past any Prometheus: from a target's own pods, and from the NVML
// agents on their nodes.
type DirectReader interface {
	// ReadDirect returns what the pods and agents of one target say now. It is called once per target and tick, for several targets at
	// once, and honours the deadline of ctx. It asks no address but those that it is given.
	ReadDirect(ctx context.Context, now time.Time, t DirectTarget) DirectReadings
}

// DirectTarget is what is to be read of one target.
type DirectTarget struct {
	Namespace, Name string
	// Scrape is where the pods serve their metrics; with the zero Scrape only agents are read.
	Scrape policy.Scrape
	// Pods are the Ready ones.
	Pods    []DirectPod
	Signals []policy.Signal
}

// DirectPod is a pod to be read.
type DirectPod struct {
	Name string
	// IP is the pod's own address, the zero Addr if it has none.
	IP netip.Addr
	// Agent is where the NVML agent of the pod's node serves its metrics, the zero AddrPort if the node has none.
	Agent netip.AddrPort
}

// DirectReadings is the reply of the pods and agents of one target.
type DirectReadings struct {
	// Signals run parallel to those of the DirectTarget. Their samples have a Time; their sources name a metric.
	Signals []Readings
	// FromAgent reports whether the sample of a pod, of the i-th signal, is an agent's.
	FromAgent func(i int, namespace, name string) bool
	// Pods and Agents count who was asked in this tick.
	Pods, Agents Asked
	// Problem says in words what failed and what to do about it, empty if nothing did.
	Problem string
}

// Asked counts those that were asked for their metrics in one tick.
type Asked struct {
	// All is how many there are: with many pods, only some are asked in each tick.
	All, Asked, Failed int
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
