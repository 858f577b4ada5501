package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// absent says why there are no ReplicaSets and pods of a namespace.
func (w *watches) absent(ns string) string {
	const note = "its pods have not been listed yet"
	w.mu.RLock()
	defer w.mu.RUnlock()
	m := w.members[ns]
	if m == nil {
		m = w.members[""]
	}
	if m == nil {
		return note
	}
	for _, s := range m.sources {
		if why := s.problem(); why != nil && !s.synced() {
			return fmt.Sprintf("%s: listing %s: %v", note, s.what, why)
		}
	}
	return note
}

// wait returns when what is to be watched has been listed, or with an error that says what has not and why when the
// context ends.
func (w *watches) wait(ctx context.Context, enough func() bool) error {
	const poll = 20 * time.Millisecond
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !enough() {
		select {
		case <-ctx.Done():
			return w.behind(ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// allSynced reports whether everything that is to be watched has been listed once.
func (w *watches) allSynced() bool {
	if !synced(w.sources) || len(w.poke) > 0 {
		return false
	}
	for _, d := range w.targets(nil) {
		if w.of(d.namespace) == nil {
			return false
		}
	}
	return true
}

// behind says what has not been listed and why.
func (w *watches) behind(cause error) error {
	sources := slices.Clone(w.sources)
	w.mu.RLock()
	for _, m := range w.members {
		sources = append(sources, m.sources...)
	}
	w.mu.RUnlock()
	var problems []error
	for _, s := range sources {
		if s.synced() {
			continue
		}
		why := s.problem()
		if why == nil {
			why = errors.New("no answer from the API server yet")
		}
		problems = append(problems, fmt.Errorf("listing %s: %w", s.what, why))
	}
	if len(problems) == 0 {
		return cause
	}
	return errors.Join(problems...)
}

// synced reports whether all sources have been listed once.
func synced(sources []*watchSource) bool {
	return !slices.ContainsFunc(sources, func(s *watchSource) bool { return !s.synced() })
}
