package simulate

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Kind is what happens in an Event.
type Kind string

// The kinds of events, by their keys in a scenario file.
const (
	// SetReplicas is a person who changes spec.replicas through kubectl.
	SetReplicas Kind = "replicas"
	// ResetReplicas is an apply, Helm or a GitOps controller that does so.
	ResetReplicas Kind = "reset"
	// SetGPUs changes how many pods the cluster can place. Pods that are placed stay.
	SetGPUs Kind = "gpus"
	// Outage is a Prometheus that does not answer.
	Outage Kind = "outage"
	// Conflicting is another autoscaler on the same Deployment.
	Conflicting Kind = "conflict"
	// Restart is a restart of the controller: it continues from its checkpoint.
	Restart Kind = "restart"
	// CrashLooping makes pods created while it lasts crash instead of becoming Ready. They start anew when it ends.
	CrashLooping Kind = "crash-loop"
	// Rollout replaces all pods, one at a time, with maxSurge 1 and maxUnavailable 0.
	Rollout Kind = "rollout"
)

// EventKinds returns all kinds in the order of the documentation.
func EventKinds() []Kind {
	return []Kind{SetReplicas, ResetReplicas, SetGPUs, Outage, Conflicting, Restart, CrashLooping, Rollout}
}

// Lasts reports whether events of this kind last for a time, and may have a For.
func (k Kind) Lasts() bool {
	switch k {
	case SetGPUs, Outage, Conflicting, CrashLooping:
		return true
	}
	return false
}

// Event is something that happens before the tick of its time, or before the first tick after it.
type Event struct {
	// At counts from the start of the scenario.
	At time.Duration
	// For is how long it lasts, of the kinds that do: in [At, At+For). 0 is to the end.
	For  time.Duration
	Kind Kind
	// Number is the number of replicas or GPUs.
	Number int
	// Name is that of the other autoscaler of a conflict, if it has one.
	Name string
	// Manager is the field manager of a reset, helm if empty.
	Manager string
}

// end is when the event is over.
func (e *Event) end() time.Duration {
	if e.For == 0 {
		return math.MaxInt64
	}
	return e.At + e.For
}

// lasts reports whether a lasting event is going on.
func (e *Event) lasts(at time.Duration) bool { return e.At <= at && at < e.end() }

// String tells the event in words.
func (e *Event) String() string {
	text := ""
	switch e.Kind {
	case SetReplicas:
		return fmt.Sprintf("a person sets replicas to %d", e.Number)
	case ResetReplicas:
		return fmt.Sprintf("%s resets replicas to %d", cmp.Or(e.Manager, "an apply"), e.Number)
	case Restart:
		return "the controller restarts"
	case Rollout:
		return "a rollout begins"
	case SetGPUs:
		text = fmt.Sprintf("the cluster can place %d pods", e.Number)
	case Outage:
		text = "Prometheus does not answer"
	case Conflicting:
		text = "another autoscaler takes the Deployment"
		if e.Name != "" {
			text = e.Name + " takes the Deployment"
		}
	case CrashLooping:
		text = "new pods crash"
	}
	if e.For > 0 {
		text += fmt.Sprintf(", for %v", e.For)
	}
	return text
}

// eventProblems finds events that cannot happen. Each is named by its place in the list, from 1.
func (s *Scenario) eventProblems() []error {
	var problems []error
	for i := range s.Events {
		e := &s.Events[i]
		refuse := func(key, format string, args ...any) {
			problems = append(problems, problem{fmt.Sprintf("events[%d].%s", i+1, key), fmt.Sprintf(format, args...)})
		}
		if e.At < 0 || e.At > s.Duration {
			refuse("at", "%v is not allowed: give a time from 0s to the duration, %v", e.At, s.Duration)
		}
		if e.For < 0 || e.For > MaxDuration {
			refuse("for", "%v is not allowed: give a duration above 0s and at most %v", e.For, MaxDuration)
		}
		if e.For > 0 && !e.Kind.Lasts() {
			refuse("for", "%v is not allowed: %s is over at once", e.For, e.Kind)
		}
		if e.Manager != "" && e.Kind != ResetReplicas {
			refuse("manager", "%s is not allowed: only a reset has one", e.Manager)
		}
		if most := e.most(); e.Number < 0 || e.Number > most {
			refuse(string(e.Kind), "%d is not allowed: give a whole number from 0 to %d", e.Number, most)
		}
	}
	return problems
}

// most is the largest number that the event may have.
func (e *Event) most() int {
	switch e.Kind {
	case SetReplicas, ResetReplicas:
		return MaxReplicas
	case SetGPUs:
		return math.MaxInt32
	}
	return 0
}
