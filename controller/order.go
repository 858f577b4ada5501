package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// order is by which pods a target is lowered, where that is asked for: one tick before the write the least busy pods are marked,
// and afterwards those that are left are unmarked.
type order struct {
	// marked is the tick in which pods were marked for the lower that is due now, zero if none were.
	marked time.Time
	// lowered is the tick in which the last lower with marks was handed over.
	lowered time.Time
	// marking is what was sent last, nil before the first.
	marking *marking
	// refused is until when no pods are marked, because that is forbidden.
	refused time.Time
	// told says that this was told.
	told bool
}

const (
	// orderPause is how long no pods are marked after that was refused: only a person can help.
	orderPause = 10 * time.Minute
	// removalPatience is how long marks stay after a lower if the pods that are to go do not.
	removalPatience = time.Minute
)

// order marks pods before a lower and unmarks them when none is due, and reports whether the write must wait for the next tick.
func (c *Controller) order(t *target, o *observer, now time.Time) (wait bool) {
	if c.marker == nil || t.spec.DryRun || c.orderRefused(t, now) || t.waits(t.decision, now) {
		return false
	}
	k := &t.order
	before := k.marked
	k.marked = time.Time{}
	d := t.decision
	switch {
	case !t.spec.LeastBusy || d.Desired >= d.Current:
		if len(o.found) <= t.seen.replicas || now.Sub(k.lowered) >= removalPatience {
			c.mark(t, o.marked(), nil)
		}
		return false
	case !before.IsZero():
		k.lowered = now
		return false
	}
	first := o.first(len(o.found) - d.Desired)
	if len(first) == 0 {
		return false
	}
	c.mark(t, slices.DeleteFunc(o.marked(), func(pod string) bool { return slices.Contains(first, pod) }), first)
	k.marked = now
	return true
}

// mark has pods unmarked, and others marked: the first of them goes first.
func (c *Controller) mark(t *target, unmark, mark []string) {
	if len(unmark)+len(mark) == 0 || len(mark) == 0 && t.order.marking.underWay() {
		return
	}
	c.log.V(1).Info("Marking pods", "namespace", t.seen.namespace, "name", t.seen.name, "first", mark, "unmarked", unmark)
	t.order.marking.stop()
	t.order.marking = c.marker.send(t.seen.namespace, unmark, mark)
}

// orderRefused reports whether pods cannot be marked now, and tells so once.
func (c *Controller) orderRefused(t *target, now time.Time) bool {
	k := &t.order
	if now.Before(k.refused) {
		return true
	}
	err := k.marking.refusal()
	if err == nil {
		return false
	}
	k.refused, k.marking, k.marked = now.Add(orderPause), nil, time.Time{}
	if !k.told {
		k.told = true
		c.log.Info("Pods cannot be marked: which of them are removed first is left to Kubernetes; deploy/rbac/least-busy grants the right",
			"namespace", t.seen.namespace, "name", t.seen.name, "problem", brief(err.Error()))
		c.recorder.event(t.seen, corev1.EventTypeWarning, policy.InvalidAnnotations, fmt.Sprintf(
			"%sscale-down.order: %q cannot be obeyed, replicas are removed in the default order: the controller may not patch pods: %v", policy.Prefix, "least-busy", err))
	}
	return true
}

// marked returns the pods that bear a mark of ours.
func (o *observer) marked() []string {
	var list []string
	for _, p := range o.found {
		if p.cost == ourCost {
			list = append(list, p.name)
		}
	}
	return list
}

// first returns the pods that are to go first when that many go: the ready ones with the fewest running requests, then the
// youngest. Pods that are not ready go before them anyway, and those of which someone has set the cost where that puts them. It
// returns none if there is nothing to choose.
func (o *observer) first(gone int) []string {
	var running []policy.Sample
	for i := range o.read {
		if o.read[i].Signal == policy.RunningRequests && o.read[i].Problem == "" {
			running = o.read[i].Samples
		}
	}
	type candidate struct {
		*pod
		running float64
	}
	var list []candidate
	ready := len(o.found)
	for i, p := range o.found {
		switch {
		case p.phase != policy.Ready:
			gone--
			ready--
		case p.cost == theirCost:
		case i < len(running) && running[i].OK:
			list = append(list, candidate{p, running[i].Value})
		}
	}
	if gone <= 0 || gone >= ready || len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.running, b.running), cmp.Compare(b.scheduled, a.scheduled), cmp.Compare(a.name, b.name))
	})
	names := make([]string, min(gone, len(list)))
	for i := range names {
		names[i] = list[i].name
	}
	return names
}
