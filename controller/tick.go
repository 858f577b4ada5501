package controller

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unique"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// pass is one tick.
type pass struct {
	c   *Controller
	now time.Time
	// elapsed is the time since the last tick, 0 at the first one.
	elapsed time.Duration
	// targets are sorted by namespace and name.
	targets  []*target
	readings map[policy.Signal]*query
	// times are the queries for when samples were taken, of the signals of which it matters now.
	times map[policy.Signal]*query
	// agents are the NVML agents by node.
	agents map[unique.Handle[string]]netip.AddrPort
	took   map[types.UID][]time.Duration
	slots  *slots
	// ledger counts the places that are free, nil if they are not known.
	ledger *ledger
	// rivals are the names of other autoscalers by the Deployment that they scale.
	rivals map[key]string
	// stale says why Deployments may have changed unseen, by scope.
	stale map[string]string
}

// Tick makes one pass: it reads the signals once, decides about every target as of now, hands the changes over to be
// written, and returns what it found. Writes need not have finished by then; their targets are left alone until they have.
// When the context ends during the pass nothing is decided and the Snapshot stays what it was.
func (c *Controller) Tick(ctx context.Context, now time.Time) *Snapshot {
	c.ticking.Lock()
	defer c.ticking.Unlock()
	started := time.Now()
	p := c.begin(now)
	p.run(ctx)
	if ctx.Err() != nil {
		return c.Snapshot()
	}
	p.reportReplies()
	c.snapshot.Store(p.publish())
	c.ticked = now
	c.checkpoints.poke()
	finished := time.Now()
	c.alive.Store(&finished)
	c.metrics.tickDuration.Observe(finished.Sub(started).Seconds())
	c.log.V(2).Info("Tick", "time", now, "targets", len(p.targets), "took", finished.Sub(started))
	return c.Snapshot()
}

// begin takes over what happened since the last tick: outcomes of writes, and what the caches show.
func (c *Controller) begin(now time.Time) *pass {
	p := &pass{
		c: c, now: now, readings: map[policy.Signal]*query{}, times: map[policy.Signal]*query{},
		slots: newSlots(maxCustomQueries, maxCustomOfNamespace),
	}
	if !c.ticked.IsZero() {
		p.elapsed = now.Sub(c.ticked)
	}
	p.took = c.watches.startups.drain()
	p.stale = c.stale() // before what is seen
	p.targets = c.refresh()
	c.settle(now)
	for _, t := range p.targets {
		t.resolve()
		t.attribute(c.options.DryRun)
		t.outdated = p.outdated(t.seen.namespace)
		p.relist(t)
	}
	p.rivals = rivalsOf(c.watches.rivals)
	if c.watches.agents != nil {
		p.agents = agentsByNode(c.watches.agents.all(nil))
	}
	p.promise()
	return p
}

// settle takes over what has become of the writes.
func (c *Controller) settle(now time.Time) {
	for _, o := range c.writes.collect() {
		if t := c.targets[o.uid]; t != nil {
			t.settle(o, now)
		}
	}
}

// refresh brings the targets up to date with the cache. One that is gone, or was created anew under its old name, is forgotten.
func (c *Controller) refresh() []*target {
	list := c.watches.targets(make([]*deployment, 0, len(c.targets)))
	slices.SortFunc(list, func(a, b *deployment) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	classes := c.reclass()
	targets := make([]*target, len(list))
	for i, d := range list {
		t := c.targets[d.uid]
		if t == nil {
			t = newTarget()
			c.targets[d.uid] = t
		}
		if classes {
			t.reclass()
		}
		t.see(d, c.parse)
		targets[i] = t
	}
	if len(targets) != len(c.targets) {
		c.forget(targets)
	}
	return targets
}

// forget drops all targets but those given.
func (c *Controller) forget(targets []*target) {
	c.targets = make(map[types.UID]*target, len(targets))
	for _, t := range targets {
		c.targets[t.seen.uid] = t
	}
}

// run reads and decides. Targets that wait for the same signals are decided together as soon as these are there, so that
// a slow query holds up only those that need it.
func (p *pass) run(ctx context.Context) {
	reading, cancel := context.WithTimeout(ctx, p.c.options.QueryTimeout)
	defer cancel()
	p.settling()
	p.readAll(reading)
	p.readTimes(reading)
	work := make(chan batch)
	var workers, groups sync.WaitGroup
	for range p.c.options.Workers {
		workers.Go(func() {
			var o observer
			for b := range work {
				for _, t := range b.targets {
					p.decide(t, &o)
				}
				b.done.Done()
			}
		})
	}
	for _, targets := range p.groups() {
		groups.Go(func() {
			p.await(reading, targets)
			if ctx.Err() == nil {
				dispatch(work, targets)
				p.contend(targets)
				p.c.writes.start(ctx)
			}
		})
	}
	groups.Wait()
	close(work)
	workers.Wait()
	for _, q := range p.readings {
		<-q.finished
	}
}

// batch is what a worker takes at once.
type batch struct {
	targets []*target
	done    *sync.WaitGroup
}

// batchSize makes handing over cost little beside deciding.
const batchSize = 32

// dispatch has targets decided and returns when they are.
func dispatch(work chan<- batch, targets []*target) {
	var done sync.WaitGroup
	for chunk := range slices.Chunk(targets, batchSize) {
		done.Add(1)
		work <- batch{chunk, &done}
	}
	done.Wait()
}

// groups puts targets that wait for the same signals together. One with queries of its own, or whose pods are read, waits for itself.
func (p *pass) groups() [][]*target {
	var groups [][]*target
	byKey := map[string]int{}
	for _, t := range p.targets {
		if len(t.custom) > 0 || p.readsDirectly(t) {
			groups = append(groups, []*target{t})
			continue
		}
		key := t.waitsFor()
		i, found := byKey[key]
		if !found {
			i = len(groups)
			byKey[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], t)
	}
	return groups
}

// await returns when the replies that a group needs are there.
func (p *pass) await(ctx context.Context, group []*target) {
	t := group[0]
	direct := p.readDirect(ctx, t)
	if len(t.custom) > 0 {
		p.readCustom(ctx, t)
	}
	if t.direct = <-direct; t.direct.suffices() {
		t.settling = false // its samples tell their times themselves
		return
	}
	for _, s := range t.signals {
		<-p.readings[s].finished
	}
	for _, s := range timesFor(t) {
		<-p.times[s].finished
	}
}

// decide decides about one target. A panic takes only this target out.
func (p *pass) decide(t *target, o *observer) {
	defer p.contain(t)
	members := p.c.watches.of(t.seen.namespace)
	listed := members != nil
	if !listed {
		members = unlisted // without the pods, the bounds are kept all the same
	}
	o.gather(t, members)
	o.account(t, p.now, p.elapsed, p.took, p.c.metrics.startup.Observe)
	if note := t.blocked(p.now); note != "" {
		t.skip(p.now, note)
		return
	}
	t.note = ""
	if !listed {
		t.note = p.c.watches.absent(t.seen.namespace)
	}
	if len(t.problems) > 0 {
		t.heldBefore.add(policy.InvalidAnnotations)
	}
	if t.spec == nil {
		t.decision = hold(t.seen.replicas, policy.InvalidAnnotations, p.now)
		p.remember(t, nil, nil, nil)
		return
	}
	t.origins = nil // a Snapshot has the last ones
	seen, before := o.observe(t, p), t.state
	p.meet(t, &seen)
	if seen.Free, seen.FreeKnown = p.ledger.forDeployment(t.seen); seen.FreeKnown && seen.Lacking == "" && seen.Replicas+seen.Free < t.spec.MaxReplicas {
		seen.Lacking = p.ledger.lacking(t.seen)
	}
	p.conclude(t, before, seen)
	if p.contends(t, &seen) {
		t.raise = newRaise(before, seen, o.found)
		return
	}
	p.remember(t, before, &seen, o.found)
	if !p.c.order(t, o, p.now) {
		p.c.change(t, p.now)
	}
}

// unlisted stands in for the pods of a namespace as long as they cannot be listed.
var unlisted = &members{sets: &store[*replicaSet]{}, pods: &store[*pod]{}}

// contain catches a panic over one target and leaves that target alone for a while. Call it deferred.
func (p *pass) contain(t *target) {
	r := recover()
	if r == nil {
		return
	}
	t.quarantine = p.now.Add(quarantine)
	t.skip(p.now, fmt.Sprintf("left alone after a panic: %v", r))
	p.c.metrics.panics.Inc()
	p.c.log.Error(fmt.Errorf("panic: %v", r), "Deciding failed, the target is left alone", "namespace", t.seen.namespace,
		"name", t.seen.name, "until", t.quarantine, "stack", string(debug.Stack()))
}

// quarantine is how long a target is left alone after a panic, unless its annotations change.
const quarantine = 10 * time.Minute

// skip makes no decision in this tick. The last one stays; if there is none, the replicas do.
func (t *target) skip(now time.Time, note string) {
	t.note = note
	if t.decision.Time.IsZero() {
		t.decision = hold(t.seen.replicas, "", now)
	}
}

// change hands a change of replicas over to be written.
func (c *Controller) change(t *target, now time.Time) {
	d := t.decision
	if d.Desired == d.Current || t.waits(d, now) {
		return
	}
	s := c.scaler
	if t.spec.DryRun {
		s = dryRun{c.log}
	}
	t.writing = true
	c.writes.add(&job{
		change:   change{t.seen.namespace, t.seen.name, t.seen.uid, d.Current, d.Desired},
		scaler:   s,
		decision: *d,
	})
}

// publish tells what is new and makes the Snapshot.
func (p *pass) publish() *Snapshot {
	s := &Snapshot{Time: p.now, Workloads: make([]Workload, len(p.targets)), GPUs: p.ledger.gpus()}
	for i, t := range p.targets {
		p.tell(t)
		if t.outdated != "" || t.awaited != "" {
			s.Stale++
		}
		s.Workloads[i] = Workload{
			Namespace: t.seen.namespace, Name: t.seen.name, UID: t.seen.uid,
			Spec: t.spec, Problems: t.problems, Decision: t.decision, State: t.state, Note: t.note, WriteProblem: cmp.Or(t.outdated, t.writeProblem),
			DryRun: p.c.options.DryRun || t.spec != nil && t.spec.DryRun,
			Ready:  t.ready, Loading: t.loading, Unschedulable: t.unschedulable, Free: t.free, FreeKnown: t.freeKnown, Rival: t.rival,
			GPUs: t.gpus, GPUSeconds: t.gpuSeconds, heldBefore: t.heldBefore, valid: t.valid, history: t.history, origins: t.origins,
			conditions: t.told.conditions, conditionsEver: t.told.ever,
		}
	}
	return s
}

// tell tells what is new about a target.
func (p *pass) tell(t *target) {
	defer p.contain(t)
	p.c.tell(t)
}
