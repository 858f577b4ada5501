package policy

import (
	"fmt"
	"time"
)

// noteFleet tells what is to be known of the pods and of other hands, whether or not it changed a number.
func (d *Decision) noteFleet(spec *Spec, state *State, seen *Observation, now time.Time) {
	if d.Fleet.Overdue > 0 {
		d.noteOverdue(spec, seen, now)
	}
	if d.Fleet.Unschedulable > 0 {
		d.note(UnschedulablePods, d.shortText())
	}
	if seen.CrashLoop != "" {
		d.note(CrashLoop, fmt.Sprintf("no pod of the newest template comes up (%s): it gets no more of them", seen.CrashLoop))
	}
	if seen.Rival != "" {
		d.note(Conflict, fmt.Sprintf("%s scales this Deployment too: delete it, or take %senabled away", seen.Rival, Prefix))
	}
	if state.fought(now) {
		d.note(Conflict, fmt.Sprintf("%s undoes each change of the replicas: nothing is written until %sZ or until the annotations change",
			state.Hands.name(), state.Hands.StoppedUntil.UTC().Format(time.TimeOnly)))
	}
	if len(state.Stuck) > 0 {
		d.noteStalls(state, now)
	}
	if o := state.overridden(now); o != nil && o.Replicas > 0 {
		d.note(Override, o.text(d))
	}
}

// text tells what a person's change means now.
func (o *PersonsNumber) text(d *Decision) string {
	by, limit := o.Manager, "at most"
	if by == "" {
		by = "a person"
	}
	if o.Raised {
		limit = "at least"
	}
	text := fmt.Sprintf("%s set %d replicas: %s that many until %sZ", by, o.Replicas, limit, o.Until.UTC().Format(time.TimeOnly))
	if d.Reason == TooManyReplicas || d.Reason == TooFewReplicas {
		text += fmt.Sprintf(", within the bounds, which make it %d", d.Desired)
	}
	return text
}

// noteOverdue names the pod that has been loading for longest.
func (d *Decision) noteOverdue(spec *Spec, seen *Observation, now time.Time) {
	var oldest *Pod
	for i := range seen.Pods {
		p := &seen.Pods[i]
		if d.Fleet.worth(p, spec.MaxSampleAge, now) == overdue && (oldest == nil || p.Scheduled.Before(oldest.Scheduled)) {
			oldest = p
		}
	}
	pods := "pods"
	if d.Fleet.Overdue == 1 {
		pods = "pod"
	}
	text := fmt.Sprintf("%d %s should be Ready by now", d.Fleet.Overdue, pods)
	switch {
	case oldest == nil:
	case oldest.Restarts >= maxCreditedRestarts:
		text += fmt.Sprintf(": %s has restarted %d times", oldest.Name, oldest.Restarts)
	case !oldest.Scheduled.IsZero():
		text += fmt.Sprintf(": %s has been loading for %s, with a startup of %s", oldest.Name, plain(now.Sub(oldest.Scheduled).Round(time.Second)), plain(d.Fleet.Startup))
	}
	d.note(Overdue, text)
}
