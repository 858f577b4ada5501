package controller

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
)

// places tell how many more pods of a Deployment the nodes can take. They are known while nodes and pods of the whole cluster may
// be read and at least one Deployment's template can be judged.
type places struct {
	nodes    *store[*node]
	bookings *bookings
	// changes grows with each change of a node that matters.
	changes atomic.Uint64

	// What follows is the tick's alone: the rooms as of the last tick, the fits of the templates, and a number for each state of the
	// rooms that anything was counted in.
	rooms   *rooms
	fits    map[shape]*fit
	version uint64
}

// newPlaces makes places that know nothing yet; changed is called when a node has come or gone.
func newPlaces(changed func()) *places {
	p := &places{bookings: &bookings{}, fits: map[shape]*fit{}}
	p.nodes = &store[*node]{adopt: p.adopt, changed: func() {
		p.changes.Add(1)
		changed()
	}}
	return p
}

// adopt finishes a node before it is stored. One that is as it was shares what it was.
func (p *places) adopt(fresh, old, _ *node) {
	if old != nil && fresh.same(old) {
		fresh.labels, fresh.allocatable, fresh.taints = old.labels, old.allocatable, old.taints
		return
	}
	p.changes.Add(1)
}

// known reports whether nodes and pods have been listed.
func (p *places) known() bool { return p.nodes.synced.Load() && p.bookings.synced.Load() }

// rooms are what the nodes have free at one time. They are never changed once they are made.
type rooms struct {
	// nodeChanges and bookingChanges are the changes that have been seen.
	nodeChanges, bookingChanges uint64
	version                     uint64
	// index numbers the resources that nodes offer.
	index map[corev1.ResourceName]int
	list  []room // by name of the node

	priorities map[string]int32
	overheads  map[string]amounts
}

// room is what one node has free.
type room struct {
	node *node
	space
	// evicted is the space if the pods of the lowest priority were evicted, then those of the next one, and so on.
	evicted []eviction
}

// space is free by resource, in the rooms' numbering, and for further pods.
type space struct {
	free []int64
	pods int64
}

// eviction is the space that there is without pods up to a priority.
type eviction struct {
	priority int32
	space
}

// refresh brings the rooms up to date.
func (p *places) refresh() *rooms {
	b := p.bookings
	nodes, bookings := p.changes.Load(), b.changes.Load()
	if r := p.rooms; r != nil && r.nodeChanges == nodes && r.bookingChanges == bookings {
		return r
	}
	maps.DeleteFunc(p.fits, func(_ shape, f *fit) bool { return f.count.rooms != p.rooms }) // nobody has asked since
	p.version++
	r := &rooms{nodeChanges: nodes, bookingChanges: bookings, version: p.version}
	if old := p.rooms; old != nil && old.nodeChanges == nodes {
		r.index, r.list = old.index, slices.Clone(old.list)
	} else {
		r.offer(p.nodes.all(nil))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r.priorities, r.overheads = maps.Clone(b.priorities), maps.Clone(b.overheads)
	for i := range r.list {
		r.list[i].measure(b.nodes[r.list[i].node.name], r.index)
	}
	p.rooms = r
	return r
}

// offer makes the list and numbers what the nodes offer.
func (r *rooms) offer(nodes []*node) {
	slices.SortFunc(nodes, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	r.index = map[corev1.ResourceName]int{}
	r.list = make([]room, len(nodes))
	for i, n := range nodes {
		r.list[i].node = n
		for name, amount := range n.allocatable {
			if _, found := r.index[name]; !found && amount > 0 {
				r.index[name] = len(r.index)
			}
		}
	}
}

// measure computes what the node has free beside the pods on it, and would have without some of them.
func (r *room) measure(u *usage, index map[corev1.ResourceName]int) {
	at := space{free: make([]int64, len(index)), pods: r.node.allocatable[corev1.ResourcePods]}
	for name, amount := range r.node.allocatable {
		if i, found := index[name]; found {
			at.free[i] = amount
		}
	}
	r.evicted = nil
	if u != nil {
		r.evicted = make([]eviction, len(u.levels))
		for i := len(u.levels) - 1; i >= 0; i-- {
			r.evicted[i] = eviction{u.levels[i].priority, at}
			at = at.without(&u.levels[i], index)
		}
	}
	r.space = at
}

// without returns the space less what the pods of a level take.
func (s space) without(v *level, index map[corev1.ResourceName]int) space {
	less := space{free: slices.Clone(s.free), pods: s.pods - v.pods}
	for name, n := range v.taken {
		if i, found := index[name]; found {
			less.free[i] -= n
		}
	}
	return less
}

// without returns the space that there would be without all pods that a pod of the priority may evict.
func (r *room) evictable(priority int32) space {
	at := r.space
	for _, e := range r.evicted {
		if e.priority >= priority {
			break
		}
		at = e.space
	}
	return at
}
