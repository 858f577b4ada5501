package fleet

import (
	"crypto/md5" //nolint:gosec // it makes names, it protects nothing
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// server is an HTTP server on a loopback port.
type server struct {
	addr string
	http *http.Server
}

func startServer(handler http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	s := &server{addr: listener.Addr().String(), http: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

func (s *server) stop() { _ = s.http.Close() }

// engine is the server in a pod.
type engine struct {
	*server
	port      int
	container string
}

// startEngine starts what the pod's annotation asks for and makes it known.
func (r *podRun) startEngine() {
	r.mu.Lock()
	pod := r.pod
	r.mu.Unlock()
	switch kind := pod.Annotations[Engine]; kind {
	case EngineVLLM:
	case EngineNone, "":
		return
	default:
		r.fleet.opts.Log("pod %s: annotation %s is %q, want %s or %s", r.name, Engine, kind, EngineVLLM, EngineNone)
		return
	}
	model := pod.Annotations[ModelName]
	if model == "" {
		model = r.workload.Name
	}
	born := time.Now()
	s, err := startServer(metricsHandler("text/plain; version=0.0.4; charset=utf-8", func() []byte {
		return exposeVLLM(model, born, r.fleet.load(r).Engine)
	}))
	if err != nil {
		r.fleet.opts.Log("starting the engine of pod %s: %v", r.name, err)
		return
	}
	e := &engine{server: s, port: enginePort, container: pod.Spec.Containers[0].Name}
	if ports := pod.Spec.Containers[0].Ports; len(ports) > 0 {
		e.port = int(ports[0].ContainerPort)
	}
	r.mu.Lock()
	r.engine = e
	r.mu.Unlock()
	if n := r.fleet.opts.Network; n != nil {
		n.Map(r.ip, e.port, e.addr)
	}
	r.fleet.publish()
}

// stopEngine ends it; it may be called at any time.
func (r *podRun) stopEngine() {
	r.mu.Lock()
	e := r.engine
	r.engine = nil
	r.mu.Unlock()
	if e == nil {
		return
	}
	if n := r.fleet.opts.Network; n != nil {
		n.Unmap(r.ip, e.port)
	}
	e.stop()
	r.fleet.publish()
}

// exporter is the DCGM exporter of a node.
type exporter struct {
	*server
	fleet *Fleet
	node  *node
	// unmapped means that the kubelet's list of pods cannot be read.
	unmapped atomic.Bool

	mu sync.Mutex
	// energy is what each GPU has drawn until metered, in mJ.
	energy  []float64
	metered time.Time
}

func (f *Fleet) startExporter(n *node) (*exporter, error) {
	e := &exporter{fleet: f, node: n, energy: make([]float64, len(n.gpus)), metered: time.Now()}
	s, err := startServer(metricsHandler("text/plain; charset=utf-8", func() []byte {
		return exposeDCGM(f.opts.GPU, n.name, e.devices())
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

// ForgetPods lets the DCGM exporters go on without pod labels, as they do while the kubelet does not tell them which pod
// has which GPU; false ends it.
func (f *Fleet) ForgetPods(forget bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		n.exporter.unmapped.Store(forget)
	}
}

// devices returns what the exporter sees of each GPU of its node.
func (e *exporter) devices() []device {
	owners := e.node.owners()
	devices := make([]device, len(owners))
	seen := map[*podRun]int{}
	loads := map[*podRun]PodLoad{}
	for i, owner := range owners {
		devices[i] = device{index: i, uuid: uuid(e.node.name, i)}
		if owner == nil {
			continue
		}
		if _, ok := loads[owner]; !ok {
			loads[owner] = e.fleet.load(owner)
		}
		gpu := loads[owner].GPU
		devices[i].utilization, devices[i].memoryUsed = gpu.utilization(seen[owner]), gpu.MemoryUsed
		seen[owner]++
		if !e.unmapped.Load() {
			devices[i].pod, devices[i].container = owner.name, owner.container
		}
	}
	e.meter(devices)
	return devices
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

// uuid is the same for the same GPU in every run.
func uuid(node string, index int) string {
	h := md5.Sum(fmt.Appendf(nil, "%s/%d", node, index)) //nolint:gosec // see above
	return fmt.Sprintf("GPU-%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:])
}

func metricsHandler(contentType string, expose func() []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(expose())
	})
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	return mux
}
