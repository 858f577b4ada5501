package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Snapshot is the outcome of one tick. It is never changed once it has been handed out.
type Snapshot struct {
	// Time is the tick's.
	Time time.Time
	// Workloads are the targets, by namespace and name.
	Workloads []Workload
	// GPUs are those of the nodes.
	GPUs GPUs
	// Stale counts the workloads of which the API server has not shown what there surely is to be seen: the last write, or, where their
	// Deployments are not watched, anything.
	Stale int
}

// Workload is one target in a Snapshot.
type Workload struct {
	Namespace, Name string
	UID             types.UID
	// Spec is what its annotations ask for, nil if they have never been valid.
	Spec *policy.Spec
	// Problems are what is wrong with its annotations, nil if nothing is.
	Problems policy.Problems
	// Decision is the last one. Where none could be made it keeps the current replicas.
	Decision *policy.Decision
	// State is what is remembered for the next decision.
	State *policy.State
	// Note says why this tick made no decision, empty if it made one.
	Note string
	// WriteProblem says why nothing is written now: because the Deployments are not watched, or why the last write failed and when the next
	// is tried; empty if there is no such reason.
	WriteProblem string
	// DryRun says that nothing is written, by flag or annotation.
	DryRun bool
	// Ready, Loading and Unschedulable count its living pods.
	Ready, Loading, Unschedulable int
	// Free is how many further pods the nodes could place when it was decided. It counts only if FreeKnown.
	Free      int
	FreeKnown bool
	// GPUs are those that its pods hold now.
	GPUs int
	// Rival names another autoscaler that scales the same Deployment, empty if there is none.
	Rival string
	// GPUSeconds are the seconds that its pods have held GPUs since it was first seen, by what they did with them.
	GPUSeconds GPUSeconds

	// valid are the last valid annotations.
	valid map[string]string
	// heldBefore marks, by position in reasons, every reason that it has been held for.
	heldBefore reasonSet
	// conditions are the reasons that an Event tells of which hold now, and conditionsEver those that have ever held.
	conditions, conditionsEver reasonSet
	// origins are where the samples came from, nil if from Prometheus alone.
	origins []origins
	// history is the past, which later ticks add to.
	history *history
}

// GPUSeconds are GPUs times seconds.
type GPUSeconds struct {
	// Serving pods are Ready. Loading pods are scheduled and not Ready yet, and Overdue when that takes too long.
	Serving, Loading, Overdue float64
}

// Message tells the decision in a sentence, or why there is none.
func (w *Workload) Message() string {
	switch {
	case w.Note != "":
		return w.Note
	case len(w.Problems) > 0:
		return w.Problems.Error()
	case w.WriteProblem != "":
		return w.Decision.Message() + "; " + w.WriteProblem
	}
	return w.Decision.Message()
}

// Find returns a workload by namespace and name, nil if it is not among them.
func (s *Snapshot) Find(namespace, name string) *Workload {
	for i := range s.Workloads {
		if w := &s.Workloads[i]; w.Namespace == namespace && w.Name == name {
			return w
		}
	}
	return nil
}

// reasons numbers the closed list, so that a set of them fits a word.
var reasons = policy.Reasons()

// reasonSet is a set of reasons by their position in reasons.
type reasonSet uint64

// add puts a reason into the set.
func (s *reasonSet) add(r policy.Reason) {
	for i := range reasons {
		if reasons[i] == r {
			*s |= 1 << i
			return
		}
	}
}

// has reports whether the reason at a position is in the set.
func (s reasonSet) has(position int) bool { return s&(1<<position) != 0 }

// hold is a decision that keeps the current replicas for a reason.
func hold(current int, reason policy.Reason, now time.Time) *policy.Decision {
	stage := policy.Stage{Replicas: current, Reason: reason}
	return &policy.Decision{
		Time: now, Current: current,
		Recommended: stage, Guarded: stage, Stabilized: stage, Limited: stage, Bounded: stage,
		Desired: current, Reason: reason,
	}
}
