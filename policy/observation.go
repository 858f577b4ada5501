package policy

import "time"

// Observation is what is seen of one Deployment at one time.
type Observation struct {
	// Replicas is spec.replicas.
	Replicas int
	// Pods are the Deployment's living pods: neither terminating nor finished.
	Pods []Pod
	// Readings are the signals that were read, in any order. A signal of the Spec that is not among them is missing.
	Readings []Reading
	// Rollout says that pods of more than one template live: some are to be replaced.
	Rollout bool
	// CrashLoop, if not empty, says in words why none of the newest template's pods comes up: CrashLoopBackOff, ImagePullBackOff and the like.
	CrashLoop string
	// Free is how many pods of the template the nodes could place now, beside those that are placed. It counts only if FreeKnown.
	Free      int
	FreeKnown bool
	// Lacking tells in words what there is too little of to place or to create a further pod, empty if that is not known.
	Lacking string
	// Refused says that pods are not even created: a quota or an admission stands against it.
	Refused bool
	// Started are the times from node to Ready of the pods that became Ready for the first time since the last Observation.
	Started []time.Duration
	// Hand tells who has set spec.replicas last.
	Hand Hand
	// Rival names another autoscaler that scales the same Deployment, empty if there is none.
	Rival string
	// Frozen, if not empty, forbids every change: InvalidAnnotations or Conflict.
	Frozen Reason
	// RaiseOnly, if not empty, forbids lowering: InvalidAnnotations, while the last good Spec stands in.
	RaiseOnly Reason
}

// Phase is where a pod stands on its way to serving.
type Phase uint8

// The phases of a living pod.
const (
	// Loading: not Ready yet; scheduled or about to be. Capacity on its way.
	Loading Phase = iota
	// Ready: serving.
	Ready
	// Unschedulable: no node can take it.
	Unschedulable
)

// String returns the phase in words.
func (p Phase) String() string {
	switch p {
	case Loading:
		return "loading"
	case Ready:
		return "ready"
	default:
		return "unschedulable"
	}
}

// Pod is a living pod of the Deployment.
type Pod struct {
	Name  string
	Phase Phase
	// Since is when the pod entered its Phase: for a Ready pod the last transition to Ready, for one that is not Ready any more
	// the transition to that. Zero means long ago.
	Since time.Time
	// Scheduled is when a node was found. Zero means that none has been found yet; for a Ready pod, that it is not known.
	Scheduled time.Time
	// Served says that the pod has been Ready before, though it need not be now.
	Served bool
	// Restarts counts the restarts of its containers since it was scheduled.
	Restarts int
}

// Hand tells who has set spec.replicas last.
type Hand struct {
	By HandKind
	// Manager is the field manager, for people.
	Manager string
	// Time is when, to the second; zero if that is not known.
	Time time.Time
}

// HandKind is whose hand it was.
type HandKind uint8

// The kinds of hands.
const (
	// NoHand: nobody has set them since the Deployment was created, or it is not known who has.
	NoHand HandKind = iota
	// OurHand: this program, be it another process.
	OurHand
	// PersonsHand: a person, through kubectl scale, edit or patch.
	PersonsHand
	// ResettingHand: an apply, Helm or a GitOps controller, that knows nothing of load.
	ResettingHand
	// CreatorsHand: whoever created the Deployment, and nobody since.
	CreatorsHand
)

// Sample is one reading of a signal.
type Sample struct {
	Value float64
	// Time is when the sample was taken at its source. Zero means: not known exactly, but the query bounded its age.
	Time time.Time
	// OK is false where there is no sample. A missing sample has no value, not the value 0.
	OK bool
	// Idle says that a latency has no value because it is known that no request was counted in its window: it is not
	// missing, and it is in no band.
	Idle bool
}

// Reading is what was read of one signal.
type Reading struct {
	Signal Signal
	// Samples of a per-pod signal run parallel to Observation.Pods: Samples[i] is of Pods[i]. Pods beyond its end have no sample.
	Samples []Sample
	// PerWorkload says that the signal is one number for the whole workload, in Workload, as HPA's External metrics are.
	PerWorkload bool
	Workload    Sample
	// Problem, if not empty, says that the reply cannot be trusted and no sample in it is used: NoData for a failed or
	// refused one, PartialData for one with warnings.
	Problem Reason
	// Detail tells in words what is behind Problem and what to do about it.
	Detail string
	// Source names where the samples came from, for people.
	Source string
}
