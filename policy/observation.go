package policy

import "time"

// Observation is what is seen of one Deployment at one time.
type Observation struct {
	// Replicas is spec.replicas.
	Replicas int `json:"replicas"`
	// Pods are the Deployment's living pods: neither terminating nor finished.
	Pods []Pod `json:"pods"`
	// Stamp is to what the times of Pods are cut: a second where Kubernetes stamps them, 0 where they are exact.
	Stamp time.Duration `json:"stamp,omitzero"`
	// Readings are the signals that were read, in any order. A signal of the Spec that is not among them is missing.
	Readings []Reading `json:"readings"`
	// Rollout says that pods of more than one template live: some are to be replaced.
	Rollout bool `json:"rollout,omitzero"`
	// CrashLoop, if not empty, says in words why none of the newest template's pods comes up: CrashLoopBackOff, ImagePullBackOff and the like.
	CrashLoop string `json:"crashLoop,omitzero"`
	// Free is how many pods of the template the nodes could place now, beside those that are placed. It counts only if FreeKnown.
	Free      int  `json:"free,omitzero"`
	FreeKnown bool `json:"freeKnown,omitzero"`
	// Lacking tells in words what there is too little of to place or to create a further pod, empty if that is not known.
	Lacking string `json:"lacking,omitzero"`
	// Refused says that pods are not even created: a quota or an admission stands against it.
	Refused bool `json:"refused,omitzero"`
	// Started are the times from node to Ready of the pods that became Ready for the first time since the last Observation.
	Started []time.Duration `json:"started,omitempty"`
	// Hand tells who has set spec.replicas last.
	Hand Hand `json:"hand,omitzero"`
	// Rival names another autoscaler that scales the same Deployment, empty if there is none.
	Rival string `json:"rival,omitzero"`
	// Frozen, if not empty, forbids every change: InvalidAnnotations or Conflict.
	Frozen Reason `json:"frozen,omitzero"`
	// RaiseOnly, if not empty, forbids lowering: InvalidAnnotations, while the last good Spec stands in.
	RaiseOnly Reason `json:"raiseOnly,omitzero"`
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

// phases are the Phases in words.
var phases = words[Phase]{"loading", "ready", "unschedulable"}

// String returns the phase in words.
func (p Phase) String() string { return phases.of(p) }

// Pod is a living pod of the Deployment.
type Pod struct {
	Name  string `json:"name"`
	Phase Phase  `json:"phase"`
	// Since is when the pod entered its Phase: for a Ready pod the last transition to Ready, for one that is not Ready any more
	// the transition to that. Zero means long ago.
	Since time.Time `json:"since,omitzero"`
	// Scheduled is when a node was found. Zero means that none has been found yet; for a Ready pod, that it is not known.
	Scheduled time.Time `json:"scheduled,omitzero"`
	// Served says that the pod has been Ready before, though it need not be now.
	Served bool `json:"served,omitzero"`
	// Restarts counts the restarts of its containers since it was scheduled.
	Restarts int `json:"restarts,omitzero"`
}

// Hand tells who has set spec.replicas last.
type Hand struct {
	By HandKind `json:"by"`
	// Manager is the field manager, for people.
	Manager string `json:"manager,omitzero"`
	// Time is when, to the second; zero if that is not known.
	Time time.Time `json:"time,omitzero"`
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
	Value float64 `json:"value,omitzero"`
	// Time is when the sample was taken at its source. Zero means: not known exactly, but the query bounded its age.
	Time time.Time `json:"time,omitzero"`
	// OK is false where there is no sample. A missing sample has no value, not the value 0.
	OK bool `json:"ok,omitzero"`
	// Idle says that a latency has no value because it is known that no request was counted in its window: it is not
	// missing, and it is in no band.
	Idle bool `json:"idle,omitzero"`
}

// Reading is what was read of one signal.
type Reading struct {
	Signal Signal `json:"signal"`
	// Samples of a per-pod signal run parallel to Observation.Pods: Samples[i] is of Pods[i]. Pods beyond its end have no sample.
	Samples []Sample `json:"samples,omitempty"`
	// PerWorkload says that the signal is one number for the whole workload, in Workload, as HPA's External metrics are.
	PerWorkload bool   `json:"perWorkload,omitzero"`
	Workload    Sample `json:"workload,omitzero"`
	// Problem, if not empty, says that the reply cannot be trusted and no sample in it is used: NoData for a failed or
	// refused one, PartialData for one with warnings.
	Problem Reason `json:"problem,omitzero"`
	// Detail tells in words what is behind Problem and what to do about it.
	Detail string `json:"detail,omitzero"`
	// Source names where the samples came from, for people.
	Source string `json:"source,omitzero"`
}
