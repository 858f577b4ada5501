package doctor

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// Facts are what was found. An error beside a part of them says why it could not be looked at.
type Facts struct {
	Cluster    ClusterFacts
	Prometheus PrometheusFacts
	// Signals are the built-in signals that any workload uses, in the order of the documentation.
	Signals   []SignalFacts
	Workloads []WorkloadFacts
	// Agents counts the NVML agents, which are in AgentNamespace, and GPUNodes the nodes that offer GPUs.
	Agents, GPUNodes int
	AgentNamespace   string
	// Unread are the parts of the cluster that could not be read, and why.
	Unread []Unread

	MaxSampleAge time.Duration
}

// Unread is a part of the cluster that could not be read.
type Unread struct {
	// What is for people, such as "Nodes"; Loses says what is not checked without it.
	What, Loses string
	Err         error
}

// ClusterFacts are about the API server and what the user may do.
type ClusterFacts struct {
	// Name tells people which cluster it is, Scope what of it is looked at.
	Name, Scope, Version string
	// One says that it is one Deployment that was named.
	One bool
	// Skew is how far the API server's clock is ahead of ours, give or take Slack; Slack 0 says that it is not known.
	Skew, Slack time.Duration
	Rights      []Right
	// RightsErr says why the rights are not known.
	RightsErr error
	// Writes says that the user is meant to write: it is the controller.
	Writes bool
}

// Right is something that is needed and that the user may or may not do.
type Right struct {
	// What is kubectl's way to say it, such as "list nodes" or "patch deployments/scale in namespace ml".
	What string
	// Loses says what does not work without it.
	Loses string
	// Write marks what only the controller needs, and Vital what nothing works without.
	Write, Vital bool
	Allowed      bool
}

// PrometheusFacts are about Prometheus as a whole.
type PrometheusFacts struct {
	// Name is the URL and how it was found. Version is what it calls its version, empty if it does not tell.
	Name, Version string
	// None says that none is configured, Err why it does not answer.
	None bool
	Err  error
	// Skew is how far its clock is ahead of ours, give or take Slack; Slack 0 says that it is not known.
	Skew, Slack time.Duration
	// Cadence tells how often DCGM reads; CadenceErr why that is not known.
	Cadence    metrics.Cadence
	CadenceErr error
	// GPUPodsErr says why it is not known which pods share GPUs.
	GPUPodsErr error
}

// SignalFacts are about one signal of all workloads.
type SignalFacts struct {
	Signal policy.Signal
	Census metrics.Census
	// Dropped are the samples that were dropped.
	Dropped []metrics.Drop
	// Err says why it could not be read, HistoryErr why its history could not.
	Err, HistoryErr error
	// Strangers counts, by namespace, pods that have samples and are not there.
	Strangers map[string]int
}

// WorkloadFacts are about one Deployment.
type WorkloadFacts struct {
	types.NamespacedName
	// Spec is what the annotations ask for, nil if they are not valid. OptedIn is false for one that is not scaled, Refused says that
	// it is told not to be.
	Spec     *policy.Spec
	OptedIn  bool
	Refused  bool
	Problems policy.Problems

	Replicas, Pods, Ready, Placed int
	// PodsKnown says that its pods could be read.
	PodsKnown bool
	// GPURequests are what one pod requests by resource; MIG says that it is a part of a GPU.
	GPURequests map[string]int64
	MIG         bool
	// Free is how many more pods the nodes can take; Unknown says why that is not known.
	Free    int
	Unknown string
	// Quotas say what stands against max-replicas, and Ranges what against any pod.
	Quotas, Ranges []string

	Rival string
	// GitOps names the tool that is noted on the Deployment, and SetsReplicas says that its manifest names the replicas.
	GitOps       string
	SetsReplicas string

	Readings []ReadingFacts
	// Direct is what its pods and the NVML agents on their nodes said, nil if they were not asked.
	Direct *DirectFacts
	// Shared is how many of its ready pods share a GPU with others, and Sharers with how many at most; MIGPods have a part of one.
	Shared, Sharers, MIGPods int
}

// DirectFacts are about what was read past Prometheus.
type DirectFacts struct {
	Pods, Agents controller.Asked
	// Problem says why some did not answer, empty if all did.
	Problem string
}

// ReadingFacts are about one signal of one workload.
type ReadingFacts struct {
	Signal policy.Signal
	// Custom is the name of the query that a custom signal is read by, empty for a built-in one.
	Custom string
	// Sampled counts the ready pods with a sample. Workload says that the signal is one value for all of them.
	Sampled  int
	Workload bool
	Value    float64
	// Sources are the names of what the samples came from.
	Sources []string
	// Oldest is the age of the oldest sample of a ready pod, Late how many are over the limit; Dated says that ages are known.
	Oldest time.Duration
	Late   int
	Dated  bool
	Err    error
	// Past is the mean per pod over the last hour, and Load that of the work done, at the same times.
	Past []Point
	// Load is the signal that Past is compared with, empty if there is none.
	Load policy.Signal

	// perPod holds the samples of a custom signal until the pods are known.
	perPod *metrics.Samples
}

// Point is a moment of the past.
type Point struct {
	Time  time.Time
	Value float64
	// Load is the load at that time, if HasLoad.
	Load    float64
	HasLoad bool
}
