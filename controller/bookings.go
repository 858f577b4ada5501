package controller

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// bookings hold what the pods of the whole cluster take of each node (it is a cache.ReflectorStore). Of a pod it keeps its node and
// its load, about 50 bytes with all that a map needs.
type bookings struct {
	synced atomic.Bool
	// changes grows with each change.
	changes atomic.Uint64

	mu    sync.Mutex
	pods  map[podID]booking
	loads map[string]*load
	nodes map[string]*usage
	// priorities and overheads are what the names of classes stand for, as seen on pods.
	priorities map[string]int32
	overheads  map[string]amounts
}

// booking is one pod's.
type booking struct {
	on   *usage
	load *load
}

// Add books a pod.
func (b *bookings) Add(obj any) error { return b.Update(obj) }

// Update books a pod in place of what was booked for it.
func (b *bookings) Update(obj any) error {
	p, ok := obj.(*boundPod)
	if !ok {
		return fmt.Errorf("booking a %T: only %T has a node", obj, p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.book(p)
	return nil
}

// Delete takes back what was booked for a pod.
func (b *bookings) Delete(obj any) error {
	p, ok := obj.(*boundPod)
	if !ok {
		return fmt.Errorf("deleting a %T: only %T has a node", obj, p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancel(podIDOf(p.uid))
	return nil
}

// Replace books the pods of a full list in place of all there are.
func (b *bookings) Replace(list []any, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.empty()
	for _, obj := range list {
		if p, ok := obj.(*boundPod); ok {
			b.book(p)
		}
	}
	b.synced.Store(true)
	return nil
}

// Resync does nothing.
func (b *bookings) Resync() error { return nil }

// reset forgets everything until the next full list.
func (b *bookings) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.synced.Store(false)
	b.empty()
}

func (b *bookings) isSynced() bool { return b.synced.Load() }

// empty makes the maps. Call it with mu held, as those below.
func (b *bookings) empty() {
	b.pods, b.loads, b.nodes = map[podID]booking{}, map[string]*load{}, map[string]*usage{}
	b.priorities, b.overheads = map[string]int32{}, map[string]amounts{}
	b.changes.Add(1)
}

// book adds a pod unless nothing about it has changed.
func (b *bookings) book(p *boundPod) {
	if b.pods == nil {
		b.empty()
	}
	if p.class != "" {
		b.priorities[p.class] = p.priority
	}
	if p.runtime != "" {
		b.overheads[p.runtime] = p.overhead
	}
	id, key := podIDOf(p.uid), loadKey(p)
	if old, found := b.pods[id]; found && old.on.node == p.node && old.load.key == key {
		return
	}
	b.cancel(id)
	l := b.loads[key]
	if l == nil {
		l = &load{key: key, requests: p.requests, priority: p.priority}
		b.loads[key] = l
	}
	l.pods++
	on := b.nodes[p.node]
	if on == nil {
		on = &usage{node: p.node}
		b.nodes[p.node] = on
	}
	on.change(l, +1)
	b.pods[id] = booking{on, l}
	b.changes.Add(1)
}

// cancel takes back what was booked for a pod.
func (b *bookings) cancel(id podID) {
	old, found := b.pods[id]
	if !found {
		return
	}
	delete(b.pods, id)
	old.on.change(old.load, -1)
	if len(old.on.levels) == 0 {
		delete(b.nodes, old.on.node)
	}
	if old.load.pods--; old.load.pods == 0 {
		delete(b.loads, old.load.key)
	}
	b.changes.Add(1)
}
