package fleet

import (
	"sync"
	"time"
)

// exporter is the DCGM exporter of a node.
type exporter struct {
	*server
	fleet *Fleet
	node  *node

	mu sync.Mutex
	// energy is what each GPU has drawn until metered, in mJ.
	energy  []float64
	metered time.Time
}

func (f *Fleet) startExporter(n *node) (*exporter, error) {
	e := &exporter{fleet: f, node: n, energy: make([]float64, n.devices), metered: time.Now()}
	s, err := startServer(anyPort, metricsHandler("text/plain; charset=utf-8", func() []byte {
		devices := f.devices(n)
		e.meter(devices)
		return exposeDCGM(f.opts.GPU, n.name, devices)
	}))
	if err != nil {
		return nil, err
	}
	e.server = s
	if f.opts.Network != nil {
		f.opts.Network.Map(n.exporterIP(), exporterPort, e.addr)
	}
	return e, nil
}

// ForgetPods lets the DCGM exporters and agents of all nodes go on without pod labels, as they do while the kubelet does
// not tell them which pod has which GPU; false ends it. SetKubeletFault does so for one node.
func (f *Fleet) ForgetPods(forget bool) {
	fault := KubeletAnswers
	if forget {
		fault = KubeletForgets
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if err := n.kubelet.setFault(fault); err != nil {
			f.opts.Log("changing the kubelet of node %s: %v", n.name, err)
		}
	}
}

// meter counts the energy that the devices have drawn since the last time, as if they had been this busy all along.
func (e *exporter) meter(devices []device) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	elapsed := float64(now.Sub(e.metered).Milliseconds())
	e.metered = now
	for i, d := range devices {
		e.energy[i] += power(e.fleet.opts.GPU, d) * elapsed
		devices[i].energy = e.energy[i]
	}
}
