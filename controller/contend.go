package controller

import (
	"cmp"
	"slices"

	"github.com/gpuscaler/gpuscaler/policy"
)

// raise is a decision to raise that has not been written yet, with all that it takes to decide again.
type raise struct {
	before *policy.State
	seen   policy.Observation
	// found are the pods that were seen.
	found []*pod
	// placed counts the pods that have a node.
	placed int
}

// promise takes places for all replicas that have no node yet, so that nobody else counts on them.
func (p *pass) promise() {
	if p.ledger = p.c.watches.places.ledger(); p.ledger == nil {
		return
	}
	var o observer
	for _, t := range p.targets {
		if n := o.waiting(t, p.c.watches.of(t.seen.namespace)); n > 0 {
			p.ledger.promise(t.seen, n)
		}
	}
}

// waiting counts the replicas of a target that are about to get a node: pods that the scheduler has not looked at yet, and replicas
// without a pod, those of a write that the cache does not show yet among them. Pods that are refused will not come.
func (o *observer) waiting(t *target, m *members) int {
	replicas := t.seen.replicas
	if t.writing || t.awaited != "" || t.unsure != nil {
		replicas = max(replicas, t.decision.Desired)
	}
	if m == nil || t.seen.settled && replicas == t.seen.replicas {
		return 0
	}
	living, placeless := 0, 0
	o.sets = m.sets.ownedBy(t.seen.uid, o.sets[:0])
	for _, set := range o.sets {
		o.found = m.pods.ownedBy(set.uid, o.found[:0])
		living += len(o.found)
		for _, pod := range o.found {
			if pod.scheduled == 0 && pod.phase == policy.Loading {
				placeless++
			}
		}
	}
	if t.seen.refusal == "" {
		placeless += max(replicas-living, 0)
	}
	return placeless
}

// conclude decides.
func (p *pass) conclude(t *target, before *policy.State, seen policy.Observation) {
	decision, state := policy.Decide(*t.spec, *before, seen, p.now)
	t.decision, t.state = &decision, &state
	t.free, t.freeKnown = seen.Free, seen.FreeKnown
	if t.decision.Reason.Holds() {
		t.heldBefore.add(t.decision.Reason)
	}
}

// contends reports whether a decision must wait until all that are made together have been: it raises, and the places are counted.
func (p *pass) contends(t *target, seen *policy.Observation) bool {
	d := t.decision
	return seen.FreeKnown && d.Desired > d.Current && (!t.spec.DryRun || p.c.options.DryRun) && !t.waits(d, p.now)
}

// newRaise keeps what a decision was made from. The Observation's memory is the worker's, which goes on to the next target.
func newRaise(before *policy.State, seen policy.Observation, found []*pod) *raise {
	r := &raise{before: before, seen: seen.Clone(), found: slices.Clone(found)}
	for _, pod := range found {
		if pod.scheduled != 0 || pod.phase == policy.Ready {
			r.placed++
		}
	}
	return r
}

// contend settles who gets the places that several of the targets want. Each takes its places; whoever finds fewer than it had
// counted on decides again with what is left.
func (p *pass) contend(targets []*target) {
	var raising []*target
	for _, t := range targets {
		if t.raise != nil {
			raising = append(raising, t)
		}
	}
	slices.SortStableFunc(raising, urgency) // targets come by namespace and name
	for _, t := range raising {
		if p.take(t) {
			p.remember(t, t.raise.before, &t.raise.seen, t.raise.found)
			p.c.change(t, p.now)
		}
		t.raise = nil
	}
}

// urgency orders targets that want places: those below their minimum first, then by the part of what they need that they have.
func urgency(a, b *target) int {
	return cmp.Or(
		cmp.Compare(b.belowMinimum(), a.belowMinimum()),
		cmp.Compare(a.raise.placed*max(b.decision.Recommended.Replicas, 1), b.raise.placed*max(a.decision.Recommended.Replicas, 1)),
	)
}

// belowMinimum is 1 for a target that has fewer pods placed than it is to have at least, else 0.
func (t *target) belowMinimum() int {
	if t.raise.placed < t.spec.MinReplicas {
		return 1
	}
	return 0
}

// take takes the places that a target wants, and has it decide again if there are too few by now. It returns false if that failed.
func (p *pass) take(t *target) bool {
	promised := p.ledger.promised[t.seen.uid]
	wants := func() int { return t.decision.Desired - t.raise.placed - promised }
	left, unknown := p.ledger.free(t.seen.shape)
	if unknown == "" && left < wants() && left+promised < t.raise.seen.Free {
		t.raise.seen.Free = left + promised
		if !p.again(t) {
			return false
		}
	}
	p.ledger.take(t.seen.shape, wants())
	return true
}

// again decides about a target once more, from what was remembered before. A panic takes only this target out.
func (p *pass) again(t *target) (ok bool) {
	defer p.contain(t)
	p.conclude(t, t.raise.before, t.raise.seen)
	return true
}
