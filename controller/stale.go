package controller

import (
	"fmt"
	"maps"
	"time"
)

// What is known of the Deployments can be out of date: their watch has broken off, or it is stuck, which it does not tell. Then a person may
// have paused one, or an HPA taken it over, without our seeing it, and the comparison in the write would not notice.

// stale returns why what is known of the Deployments may be out of date, by the namespace that is watched, or under "" of all; nil
// where all are watched. After a watch broke off it takes a tick until what happened meanwhile has surely arrived.
func (c *Controller) stale() map[string]string {
	failing := c.watches.failing()
	stale := maps.Clone(failing)
	for scope := range c.unwatched {
		if stale[scope] == "" {
			stale[scope] = place("Deployments", scope) + " have only just been watched again"
		}
	}
	c.unwatched = failing
	return stale
}

// failing returns why Deployments are not watched, by the namespace, or under "" of all.
func (w *watches) failing() map[string]string {
	failing := map[string]string{}
	for i, scope := range w.scopes {
		if s := w.sources[i]; s.synced() {
			if err := s.problem(); err != nil {
				failing[scope] = fmt.Sprintf("watching %s fails: %v", s.what, err)
			}
		}
	}
	return failing
}

// outdated says why nothing may be written about the Deployments of a namespace, empty if it may.
func (p *pass) outdated(namespace string) string {
	if why := p.stale[""]; why != "" {
		return why
	}
	return p.stale[namespace]
}

const (
	// watchPatience is how long a watch is given to show a change that is known to have been made. It mostly takes milliseconds.
	watchPatience = 10 * time.Second
	// relistPause is how long no second list is asked for: an API server that is slow must not be made slower.
	relistPause = time.Minute
)

// relist has the Deployments listed anew where a watch has not shown in time what is known to have happened: it is stuck.
func (p *pass) relist(t *target) {
	if t.owed.IsZero() || p.now.Sub(t.owed) < watchPatience {
		return
	}
	t.owed = time.Time{}
	if p.c.watches.relist(t.seen.namespace, p.now) {
		p.c.log.Info("A change is not shown by the watch, the Deployments are listed anew", "namespace", t.seen.namespace, "name", t.seen.name)
	}
}

// relist has the Deployments of a namespace listed anew, and reports false if that was done a moment ago.
func (w *watches) relist(ns string, now time.Time) bool {
	for i, scope := range w.scopes {
		if scope != ns && scope != "" {
			continue
		}
		s := w.sources[i]
		if !s.relisted.IsZero() && now.Sub(s.relisted) < relistPause {
			return false
		}
		s.relisted = now
		select {
		case s.again <- struct{}{}:
		default:
		}
		return true
	}
	return false
}
