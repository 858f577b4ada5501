package controller

import (
	"context"
	"sync"
)

// slots bound what is under way at once, altogether and for each namespace, so that one namespace cannot take all.
type slots struct {
	all         chan struct{}
	ofNamespace int

	mu  sync.Mutex
	own map[string]chan struct{}
}

func newSlots(all, ofNamespace int) *slots {
	return &slots{all: make(chan struct{}, all), ofNamespace: ofNamespace, own: map[string]chan struct{}{}}
}

// take waits for a slot. Of a namespace only so many wait in line with the others as it may have. Call release when done, unless the
// context has ended before.
func (s *slots) take(ctx context.Context, namespace string) (release func(), err error) {
	s.mu.Lock()
	own := s.own[namespace]
	if own == nil {
		own = make(chan struct{}, s.ofNamespace)
		s.own[namespace] = own
	}
	s.mu.Unlock()
	select {
	case own <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case s.all <- struct{}{}:
		return func() { <-s.all; <-own }, nil
	case <-ctx.Done():
		<-own
		return nil, ctx.Err()
	}
}
