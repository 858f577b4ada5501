package main

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// target is the utilization in percent that all arms hold.
const target = 50

// load is the load of a Deployment, spread evenly over its ready pods: each GPU reads the share, cut down to whole percent, at most
// 100. It is a fleet.Model.
type load struct {
	app string
	// push takes new values the moment they change: the whole number by pod. It is called one at a time.
	push func(app string, values map[string]int)

	mu     sync.Mutex
	total  float64
	ready  []string
	frozen bool
	shown  map[string]int
	share  int
}

// Advance takes over which pods are ready.
func (l *load) Advance(_ time.Time, ready []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.ready, ready) {
		l.ready = ready
		l.spreadLocked()
	}
}

// set changes the load, in percent of one GPU.
func (l *load) set(total float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total = total
	l.spreadLocked()
}

// freeze lets what is read stay as it is, whatever the load does, or ends that.
func (l *load) freeze(frozen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = frozen
	l.spreadLocked()
}

func (l *load) spreadLocked() {
	if l.frozen || len(l.ready) == 0 {
		return
	}
	l.share = min(100, int(l.total)/len(l.ready))
	values := make(map[string]int, len(l.ready))
	for _, pod := range l.ready {
		values[pod] = l.share
	}
	if !maps.Equal(values, l.shown) {
		l.shown = values
		l.push(l.app, values)
	}
}

// Pod returns what a pod's GPU reads.
func (l *load) Pod(string) fleet.PodLoad {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fleet.PodLoad{GPU: fleet.GPULoad{Utilization: float64(l.share), MemoryUsed: 60000}}
}

// pods returns the pods that are ready.
func (l *load) pods() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ready)
}
