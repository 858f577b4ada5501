package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// lastCheckpoint is how long the lease is kept for the last checkpoint.
const lastCheckpoint = 3 * time.Second

// takeUp goes on from the checkpoint of the former leader.
func (c *Controller) takeUp(ctx context.Context) {
	now := time.Now().Round(0)
	var all Memory
	for _, m := range c.checkpoints.read(ctx) {
		until := m.Time
		if renewed := c.lease.before.Load(); renewed != nil && !renewed.IsZero() {
			until = *renewed
		}
		if until.After(now) {
			until = now
		}
		for _, r := range m.Targets {
			state := continued(*r.State, until)
			r.State = &state
			all.Targets = append(all.Targets, r)
		}
	}
	unknown := c.Recall(all)
	c.log.Info("Going on from the checkpoint", "targets", len(all.Targets), "unknown", unknown)
}

// continued returns what is remembered of a leader that is known to have gone on until a time. The time since is one without data:
// if it is long enough it is a gap like any other.
func continued(s policy.State, until time.Time) policy.State {
	if s.Newest.Time.IsZero() {
		return s
	}
	s = s.Lasted(until)
	if s.BadSince.IsZero() {
		s.BadSince = until
	}
	return s
}

// keep writes checkpoints until the context ends, and tells when it has ended.
func (c *Controller) keep(ctx context.Context) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		c.checkpoints.run(ctx, func() Memory { return MemoryOf(c.Snapshot()) })
	}()
	return ended
}

// keepLast writes the last checkpoint, with the writes that came back after the last tick.
func (c *Controller) keepLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCheckpoint)
	defer cancel()
	c.ticking.Lock()
	defer c.ticking.Unlock()
	if c.ticked.IsZero() {
		return
	}
	c.settle(c.ticked)
	m := Memory{Time: c.ticked}
	for _, t := range c.targets {
		m.Targets = append(m.Targets, Remembered{t.seen.namespace, t.seen.name, t.seen.uid, t.state, t.valid})
	}
	c.checkpoints.pass(ctx, m)
	if err := ctx.Err(); err != nil {
		c.log.Error(fmt.Errorf("not written within %v: %w", lastCheckpoint, err), "The last checkpoint is incomplete")
	}
}
