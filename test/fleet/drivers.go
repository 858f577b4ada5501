package fleet

import (
	"sync"
	"time"
)

// Reading is what a test lets a pod read. The zero value is an idle pod.
type Reading struct {
	// GPUUtilization is in percent, GPUMemoryUsed in MiB; EachGPU is as GPULoad.Each.
	GPUUtilization, GPUMemoryUsed float64
	EachGPU                       []float64
	// Running and Waiting are requests, KVCache is the share in use, 0 to 1.
	Running, Waiting, KVCache float64
	// PromptTokens, GenerationTokens and Requests (finished) are rates per second; they are counted up as time goes by.
	PromptTokens, GenerationTokens, Requests float64
	// TTFT, InterToken, QueueTime and E2E are the latencies in seconds of each finished request.
	TTFT, InterToken, QueueTime, E2E float64
}

// Fixed is a Model by which a test sets what each pod reads.
type Fixed struct {
	mu     sync.Mutex
	all    Reading
	pods   map[string]Reading
	counts counts
}

// NewFixed returns a model in which all pods read the same until Set says otherwise.
func NewFixed(all Reading) *Fixed {
	return &Fixed{all: all, pods: map[string]Reading{}, counts: counts{engines: map[string]*EngineLoad{}}}
}

// SetAll changes what all pods read but those that Set named.
func (m *Fixed) SetAll(r Reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = r
}

// Set changes what one pod reads.
func (m *Fixed) Set(pod string, r Reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pods[pod] = r
}

// Reset lets all pods read the same again.
func (m *Fixed) Reset(all Reading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = all
	clear(m.pods)
}

func (m *Fixed) readingLocked(pod string) Reading {
	if r, ok := m.pods[pod]; ok {
		return r
	}
	return m.all
}

// Advance counts up what the rates add since the last time.
func (m *Fixed) Advance(now time.Time, ready []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.advance(now, ready, m.readingLocked)
}

// Pod returns the reading of a pod.
func (m *Fixed) Pod(name string) PodLoad {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts.show(name, m.readingLocked(name))
}

// Shared is a Model in which a total load is spread evenly over the ready pods, as a balancer does: with more replicas
// each reads less.
type Shared struct {
	mu     sync.Mutex
	load   float64
	ready  int
	read   func(share float64) Reading
	counts counts
}

// NewShared returns a model with no load. The function says what a pod reads at its share of the load; nil means a
// utilization in percent of the same number, at most 100: a load of 300 on 4 pods reads 75 on each.
func NewShared(read func(share float64) Reading) *Shared {
	if read == nil {
		read = func(share float64) Reading { return Reading{GPUUtilization: min(100, share)} }
	}
	return &Shared{read: read, counts: counts{engines: map[string]*EngineLoad{}}}
}

// SetLoad changes the total load.
func (m *Shared) SetLoad(load float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load = load
}

// readingLocked is the share of a pod. Before the first Advance nobody has any, and one that has become ready since the
// last has none of the load yet: else for a moment all would read more than there is.
func (m *Shared) readingLocked(pod string) Reading {
	if m.counts.at.IsZero() || m.ready > 0 && m.counts.engines[pod] == nil {
		return m.read(0)
	}
	return m.read(m.load / float64(max(m.ready, 1)))
}

// Advance spreads the load over the pods that are ready now.
func (m *Shared) Advance(now time.Time, ready []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = len(ready)
	m.counts.advance(now, ready, m.readingLocked)
}

// Pod returns the reading of a pod.
func (m *Shared) Pod(name string) PodLoad {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts.show(name, m.readingLocked(name))
}

// counts turns rates into counters.
type counts struct {
	at      time.Time
	engines map[string]*EngineLoad
}

func (c *counts) advance(now time.Time, ready []string, reading func(pod string) Reading) {
	elapsed := now.Sub(c.at).Seconds()
	first := c.at.IsZero()
	c.at = now
	for _, pod := range ready {
		engine := c.engines[pod]
		if engine == nil {
			fresh := newEngineLoad()
			engine = &fresh
			c.engines[pod] = engine
		}
		if !first {
			count(engine, reading(pod), elapsed)
		}
	}
}

func count(engine *EngineLoad, r Reading, elapsed float64) {
	engine.PromptTokens += r.PromptTokens * elapsed
	engine.GenerationTokens += r.GenerationTokens * elapsed
	finished := r.Requests * elapsed
	if finished <= 0 {
		return
	}
	engine.Finished += finished
	engine.TTFT.Observe(r.TTFT, finished)
	engine.InterToken.Observe(r.InterToken, max(finished, r.GenerationTokens*elapsed-finished))
	engine.QueueTime.Observe(r.QueueTime, finished)
	engine.E2E.Observe(r.E2E, finished)
}

func (c *counts) show(pod string, r Reading) PodLoad {
	load := PodLoad{GPU: GPULoad{Utilization: r.GPUUtilization, MemoryUsed: r.GPUMemoryUsed, Each: r.EachGPU}}
	if engine := c.engines[pod]; engine != nil {
		load.Engine = engine.clone()
	}
	load.Engine.Running, load.Engine.Waiting, load.Engine.KVCache = r.Running, r.Waiting, r.KVCache
	return load
}
