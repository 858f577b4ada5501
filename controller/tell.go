package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// tell logs, counts and records what changed about a target in this tick.
func (c *Controller) tell(t *target) {
	c.tellProblems(t)
	c.tellRival(t)
	if t.note != "" {
		return
	}
	d := t.decision
	c.metrics.decisions.WithLabelValues(string(d.Reason)).Inc()
	c.tellConditions(t)
	if t.told.last(d) {
		return
	}
	t.told.decided, t.told.reason, t.told.desired, t.told.noted = d.Time, d.Reason, d.Desired, notedBy(d)
	c.log.Info("Decided", "namespace", t.seen.namespace, "name", t.seen.name, "current", d.Current, "desired", d.Desired,
		"reason", d.Reason, "message", d.Message())
}

// reasonPause is how long a mere change of the reason is not logged after a decision was: a signal near its target, or a
// Prometheus that comes and goes, would write a line for each Deployment and tick.
const reasonPause = time.Minute

// last reports whether a decision is the one that was logged last, or differs so little and so soon that it need not be logged yet.
func (t *told) last(d *policy.Decision) bool {
	same := t.reason == d.Reason && t.noted == notedBy(d)
	return !t.decided.IsZero() && t.desired == d.Desired && (same || d.Time.Sub(t.decided) < reasonPause)
}

// notedBy are the reasons that a decision has notes on.
func notedBy(d *policy.Decision) reasonSet {
	var noted reasonSet
	for i := range d.Notes {
		noted.add(d.Notes[i].Reason)
	}
	return noted
}

// tellProblems tells of invalid annotations when they change.
func (c *Controller) tellProblems(t *target) {
	if t.trouble == t.told.trouble {
		return
	}
	t.told.trouble = t.trouble
	if t.trouble == 0 {
		c.log.Info("The annotations are valid again", "namespace", t.seen.namespace, "name", t.seen.name)
		return
	}
	problems := t.problems.Error()
	c.log.Info("The annotations are invalid", "namespace", t.seen.namespace, "name", t.seen.name, "problems", brief(problems))
	c.recorder.event(t.seen, corev1.EventTypeWarning, policy.InvalidAnnotations, problems)
}

// eventTypes are the reasons that an Event tells of when they begin to hold. The others come and go in daily work; the
// metrics and the log have them.
var eventTypes = map[policy.Reason]string{
	policy.NoData:            corev1.EventTypeWarning,
	policy.PartialData:       corev1.EventTypeWarning,
	policy.StaleData:         corev1.EventTypeWarning,
	policy.Gap:               corev1.EventTypeWarning,
	policy.Overdue:           corev1.EventTypeWarning,
	policy.UnschedulablePods: corev1.EventTypeWarning,
	policy.GaveBack:          corev1.EventTypeNormal,
	policy.CrashLoop:         corev1.EventTypeWarning,
	policy.NotResponding:     corev1.EventTypeWarning,
	policy.Stalled:           corev1.EventTypeWarning,
	policy.Conflict:          corev1.EventTypeWarning,
	policy.Override:          corev1.EventTypeNormal,
	policy.ReplicasReset:     corev1.EventTypeWarning,
	policy.Paused:            corev1.EventTypeNormal,
	policy.Idle:              corev1.EventTypeNormal,
	policy.Activated:         corev1.EventTypeNormal,
}

// ofData are those that tell of the pods' samples. Before a pod is ready there is nothing to be read, which is no fault.
var ofData = []policy.Reason{policy.NoData, policy.PartialData, policy.StaleData, policy.Gap}

// tellConditions records Events for reasons that hold now and did not at the last tick: those of the decision's notes, which
// have the best words, the decision's own and those of its signals.
func (c *Controller) tellConditions(t *target) {
	d := t.decision
	var conditions reasonSet
	hold := func(r policy.Reason, message func() string) {
		kind, evented := eventTypes[r]
		if !evented || t.ready == 0 && slices.Contains(ofData, r) {
			return
		}
		before := conditions
		conditions.add(r)
		if conditions != before && t.told.conditions&conditions&^before == 0 {
			c.recorder.event(t.seen, kind, r, message())
		}
	}
	for i := range d.Notes {
		hold(d.Notes[i].Reason, func() string { return d.Notes[i].Text })
	}
	hold(d.Reason, d.Message)
	for i := range d.Signals {
		s := &d.Signals[i]
		hold(s.Reason, func() string { return signalMessage(s) })
	}
	t.told.conditions = conditions
	t.told.ever |= conditions
}

// signalMessage tells in a sentence what there is to be known of a signal while others decide.
func signalMessage(s *policy.SignalDecision) string {
	if !slices.Contains(ofData, s.Reason) {
		return fmt.Sprintf("%s: %s", s.Signal, cmp.Or(s.Detail, string(s.Reason)))
	}
	text := fmt.Sprintf("%s: %d of %d ready pods have a usable sample; nothing is lowered", s.Signal, s.Sampled, s.Sampled+s.Missing)
	if s.Detail != "" {
		text += " (" + s.Detail + ")"
	}
	return text
}

// wrote tells what has become of a write. It is called as it comes back, beside the loop.
func (c *Controller) wrote(o *outcome) {
	c.metrics.writes.WithLabelValues(string(o.result)).Inc()
	log := c.log.WithValues("namespace", o.namespace, "name", o.name, "from", o.from, "to", o.to)
	switch o.result {
	case success:
		if o.replicas == o.from {
			log.Info("Not scaled: the API server left the replicas as they were, an admission webhook may have", "replicas", o.replicas)
			return
		}
		reason := o.decision.Message()
		log.Info("Scaled", "replicas", o.replicas, "reason", reason)
		c.recorder.eventFor(&o.change, corev1.EventTypeNormal, policy.SuccessfulRescale, fmt.Sprintf("New size: %d; reason: %s", o.replicas, reason))
	case dry, superseded:
		log.V(1).Info("Not scaled", "result", o.result)
	case conflict:
		log.Info("Not scaled: the replicas were changed by someone else, the next tick decides anew", "result", o.result, "answer", o.err.Error())
	case gone, notLeader, throttled: // happens in daily work and passes
		log.Info("Not scaled", "result", o.result, "answer", o.err.Error())
	default:
		log.Error(o.err, "Scaling failed", "result", o.result)
	}
}
