package fleet

import (
	"fmt"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
)

// Serving is a Model in which requests arrive and a model of the servers serves them: the one of simulate's closed
// loop, in real time.
type Serving struct {
	mu      sync.Mutex
	model   *serving.Model
	memory  float64
	start   time.Time
	engines map[string]*PodLoad
	err     error
}

// NewServing returns a model that starts at its first Advance. GPUMemory is the framebuffer that a server holds on each
// of its GPUs, in MiB, at any load: engines allocate it beforehand. The error is that of the configuration.
func NewServing(config serving.Config, gpuMemory float64) (*Serving, error) {
	model, err := serving.New(config)
	if err != nil {
		return nil, fmt.Errorf("making the serving model: %w", err)
	}
	return &Serving{model: model, memory: gpuMemory, engines: map[string]*PodLoad{}}, nil
}

// SetRate changes the rate at which requests arrive, per second.
func (m *Serving) SetRate(requestsPerSecond float64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.SetRate(requestsPerSecond)
}

// Pending is how many requests wait because no pod is ready.
func (m *Serving) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Pending()
}

// Err returns the first error of the serving model, nil if there was none.
func (m *Serving) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Advance serves until now. The time that has passed belongs to the pods that were ready before.
func (m *Serving) Advance(now time.Time, ready []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.start.IsZero() {
		m.start = now
	}
	m.model.Advance(now.Sub(m.start))
	for name, pod := range m.engines {
		if load, ok := m.model.Read(name); ok {
			pod.take(load)
		} else {
			pod.drain()
		}
	}
	if err := m.model.SetReplicas(ready); err != nil && m.err == nil {
		m.err = err
	}
	for _, name := range ready {
		if m.engines[name] == nil {
			m.engines[name] = &PodLoad{Engine: newEngineLoad(), GPU: GPULoad{MemoryUsed: m.memory}}
		}
	}
}

// Pod returns the reading of a pod.
func (m *Serving) Pod(name string) PodLoad {
	m.mu.Lock()
	defer m.mu.Unlock()
	pod := m.engines[name]
	if pod == nil {
		return PodLoad{GPU: GPULoad{MemoryUsed: m.memory}}
	}
	return PodLoad{GPU: pod.GPU, Engine: pod.Engine.clone()}
}

// take adds what the serving model tells of a replica since it was read last.
func (p *PodLoad) take(load serving.Load) {
	p.GPU.Utilization = load.GPUUtilization
	e := &p.Engine
	e.Running, e.Waiting, e.KVCache = float64(load.Running), float64(load.Waiting), load.KVCache/100
	e.PromptTokens, e.GenerationTokens = float64(load.PromptTokens), float64(load.GenerationTokens)
	e.Finished, e.Preemptions = float64(load.Finished), float64(load.Preemptions)
	for _, seconds := range load.FirstTokens {
		e.TTFT.Observe(seconds, 1)
	}
	for _, done := range load.Completions {
		e.QueueTime.Observe(done.QueueTime, 1)
		e.Prefill.Observe(done.Prefill, 1)
		e.Decode.Observe(done.Decode, 1)
		e.E2E.Observe(done.E2E, 1)
		e.RequestPromptTokens.Observe(float64(done.PromptTokens), 1)
		e.RequestGenerationTokens.Observe(float64(done.OutputTokens), 1)
		if done.OutputTokens > 1 {
			e.InterToken.Observe(done.InterToken, float64(done.OutputTokens-1))
		}
	}
}

// drain is a pod that no longer gets requests: its counters stay.
func (p *PodLoad) drain() {
	p.GPU.Utilization = 0
	p.Engine.Running, p.Engine.Waiting, p.Engine.KVCache = 0, 0, 0
}
