package controller

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
)

// Run scales until the context ends: it waits for the caches, for the lease if there is an election, goes on from what the former
// leader remembered, and ticks. When the context ends it waits for the writes under way, writes down what it remembers, and gives
// the lease back. It returns ErrLeaseLost if the lease was
// lost, nil otherwise.
func (c *Controller) Run(ctx context.Context) error {
	defer c.recorder.stop()
	watching, stop := context.WithCancel(logr.NewContext(ctx, c.log))
	defer stop()
	c.watches.start(watching)
	if !c.untilSynced(ctx) {
		return nil
	}
	if c.lease != nil {
		return c.lead(ctx)
	}
	c.loop(ctx)
	return c.finish(ctx)
}

// memberPatience is how long the first tick waits for pods. A namespace whose pods cannot be listed must not hold up the others.
const memberPatience = 15 * time.Second

// untilSynced waits for the caches and reports whether the context is still alive.
func (c *Controller) untilSynced(ctx context.Context) bool {
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, memberPatience)
		err := c.watches.wait(wait, c.watches.allSynced)
		cancel()
		if err != nil && ctx.Err() == nil {
			c.log.Error(err, "Waiting for the caches")
		}
		if synced(c.watches.sources) {
			c.watches.waitBesides(ctx)
			debug.FreeOSMemory() // what the lists left behind is given back at once: nothing will need as much again
			c.ready.Store(true)
			break
		}
	}
	return ctx.Err() == nil
}

// lead takes part in the election and ticks while leading.
func (c *Controller) lead(ctx context.Context) error {
	electing, release := context.WithCancel(context.WithoutCancel(logr.NewContext(ctx, c.log)))
	defer release()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.lease.elector.Run(electing)
	}()
	select {
	case <-ctx.Done():
		release()
		<-ended
		return nil
	case <-ended:
		return ErrLeaseLost
	case <-c.lease.leading:
	}
	c.log.Info("This process leads now", "identity", c.lease.Identity())
	ticking, stop := context.WithCancel(ctx)
	defer stop()
	c.takeUp(ticking)
	kept := c.keep(ticking)
	looped := make(chan struct{})
	go func() {
		defer close(looped)
		c.loop(ticking)
	}()
	select {
	case <-ended:
		stop()
		<-looped
		<-kept
		return ErrLeaseLost
	case <-looped: // because ctx ended
	}
	_ = c.finish(ctx)
	<-kept
	c.keepLast(ctx)
	release()
	<-ended
	return nil
}

// finish waits for the writes under way.
func (c *Controller) finish(ctx context.Context) error {
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	c.writes.wait(wait)
	return nil
}

// loop ticks until the context ends: at once, and then at every multiple of the interval. What does not get done in time is
// not caught up with, but counted.
func (c *Controller) loop(ctx context.Context) {
	interval := c.options.Settings.Interval
	began := time.Now()
	c.alive.Store(&began)
	for at := align(began, interval); ; {
		c.Tick(ctx, at)
		due := int(time.Since(at) / interval)
		if missed := due - 1; missed > 0 {
			c.metrics.missed.Add(float64(missed))
			c.log.Info("Ticks were missed", "missed", missed, "since", at)
		}
		at = at.Add(time.Duration(max(due, 1)) * interval)
		if !sleep(ctx, time.Until(at)) {
			return
		}
		at = present(at, time.Now())
	}
}

// present returns the same instant of the monotonic clock as the wall clock shows it now. Without it a machine that slept for
// an hour would go on an hour late, and schedules and the ages of pods with it.
func present(at, now time.Time) time.Time { return now.Add(at.Sub(now)) }

// align returns the last multiple of the interval, so that two processes, or a replay, decide at the same times. Unlike
// time.Truncate it keeps the monotonic clock: an adjustment of the wall clock neither stops the loop nor ages what is remembered.
func align(now time.Time, interval time.Duration) time.Time {
	return now.Add(-now.Sub(now.Truncate(interval)))
}

// sleep waits, and reports false if the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
