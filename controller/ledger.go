package controller

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// ledger is what the nodes have free during one tick, less what is promised to pods that have no node yet. A nil ledger knows nothing.
type ledger struct {
	places *places
	base   *rooms

	mu sync.Mutex
	// version names the present state of the list.
	version uint64
	// list is the rooms' own until something is taken.
	list []room
	own  bool
	// promised are the places taken for the replicas of a Deployment that have no node yet.
	promised map[types.UID]int
}

// ledger begins a tick. It is nil as long as nodes and pods are not known.
func (p *places) ledger() *ledger {
	if !p.known() {
		return nil
	}
	r := p.refresh()
	return &ledger{places: p, base: r, version: r.version, list: r.list, promised: map[types.UID]int{}}
}

// need is how much of a resource one pod needs.
type need struct {
	resource int // in the numbering of the rooms
	amount   int64
}

// count is how many pods of a template were found to fit, and where.
type count struct {
	rooms   *rooms // for which needs, nodes and known hold
	needs   []need
	nodes   []int32 // that admit the pods, by their place in the list
	unknown string

	version uint64 // of the list for which free holds
	free    int
	// scarce is what runs out first, for the list of a version.
	scarce   string
	scarceAt uint64
}

// fit returns the fit of a shape, ready to be counted with. Call it with mu held.
func (l *ledger) fit(s shape) *fit {
	f := l.places.fits[s]
	if f == nil {
		f = newFit(s)
		l.places.fits[s] = f
	}
	if c := &f.count; c.rooms != l.base {
		sameNodes := c.rooms != nil && c.rooms.nodeChanges == l.base.nodeChanges
		c.rooms, c.version, c.scarceAt = l.base, 0, 0
		c.unknown = f.prepare(l.base, sameNodes)
	}
	return f
}

// prepare finds out what a pod needs and which nodes admit it. It says why that cannot be told, empty if it can.
func (f *fit) prepare(r *rooms, sameNodes bool) string {
	c := &f.count
	if f.Unknown != "" {
		return f.Unknown
	}
	needs := amounts{}
	needs.add(f.Requests)
	if f.Runtime != "" {
		overhead, seen := r.overheads[f.Runtime]
		if !seen {
			return fmt.Sprintf("no pod with runtime class %s runs, so that its overhead is not known", f.Runtime)
		}
		needs.add(overhead)
	}
	c.needs = c.needs[:0]
	for name, amount := range needs {
		i, offered := r.index[name]
		if !offered {
			return fmt.Sprintf("no node offers %s", name)
		}
		c.needs = append(c.needs, need{i, amount})
	}
	if !sameNodes || c.nodes == nil {
		c.nodes = make([]int32, 0)
		for i := range r.list {
			if f.admits(r.list[i].node) {
				c.nodes = append(c.nodes, int32(i))
			}
		}
	}
	return f.mayEvict(r)
}

// classPriorities are those that every cluster has.
var classPriorities = map[string]int32{"": 0, "system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}

// mayEvict says that the pods could be placed by evicting others, so that what is free is not all there is; empty if they could not.
func (f *fit) mayEvict(r *rooms) string {
	if f.Polite {
		return ""
	}
	priority, seen := r.priorities[f.Priority]
	if !seen {
		if priority, seen = classPriorities[f.Priority]; !seen {
			return fmt.Sprintf("no pod with priority class %s runs, so that its priority is not known", f.Priority)
		}
	}
	for _, i := range f.count.nodes {
		if at := &r.list[i]; f.pods(at.evictable(priority)) > f.pods(at.space) {
			return fmt.Sprintf("its pods may evict others from node %s", at.node.name)
		}
	}
	return ""
}

// pods returns how many pods fit into a space.
func (f *fit) pods(at space) int {
	n := at.pods
	for _, need := range f.count.needs {
		n = min(n, at.free[need.resource]/need.amount)
	}
	return int(min(max(n, 0), math.MaxInt32))
}

// free returns how many further pods of a shape the nodes can take now, beside all that is promised, and why that is not known.
func (l *ledger) free(s shape) (n int, unknown string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.freeLocked(s)
}

func (l *ledger) freeLocked(s shape) (n int, unknown string) {
	f := l.fit(s)
	c := &f.count
	if c.unknown == "" && c.version != l.version {
		c.version, c.free = l.version, 0
		for _, i := range c.nodes {
			c.free += f.pods(l.list[i].space)
		}
		c.free = min(c.free, math.MaxInt32)
	}
	return c.free, c.unknown
}

// take takes places for up to n pods, node by node, and returns how many there were.
func (l *ledger) take(s shape, n int) (taken int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fit(s)
	if n <= 0 || f.count.unknown != "" {
		return 0
	}
	if !l.own {
		l.list, l.own = slices.Clone(l.list), true
	}
	for _, i := range f.count.nodes {
		at := &l.list[i]
		m := min(f.pods(at.space), n-taken)
		if m == 0 {
			continue
		}
		at.free = slices.Clone(at.free)
		for _, need := range f.count.needs {
			at.free[need.resource] -= int64(m) * need.amount
		}
		at.pods -= int64(m)
		if taken += m; taken == n {
			break
		}
	}
	l.places.version++
	l.version = l.places.version
	return taken
}

// promise takes places for replicas of a Deployment that have no node yet.
func (l *ledger) promise(d *deployment, replicas int) {
	if taken := l.take(d.shape, replicas); taken > 0 {
		l.promised[d.uid] = taken
	}
}

// forDeployment returns how many pods of a Deployment's template the nodes can place now, those among them that its own replicas
// without a node are about to take.
func (l *ledger) forDeployment(d *deployment) (n int, known bool) {
	if l == nil {
		return 0, false
	}
	n, unknown := l.free(d.shape)
	return n + l.promised[d.uid], unknown == ""
}
