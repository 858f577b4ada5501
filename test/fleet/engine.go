package fleet

import (
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// engine is the server in a pod.
type engine struct {
	backend
	source    string
	addr      string // where it really listens
	port      int
	container string
}

// backend is what answers at an engine's address.
type backend interface {
	// listen lets it answer again after stop; nothing happens if it does.
	listen() error
	// stop lets the address refuse connections.
	stop()
}

// startEngine starts what the pod's annotation asks for and makes it known.
func (r *podRun) startEngine() {
	r.mu.Lock()
	pod := r.pod
	r.mu.Unlock()
	e := &engine{port: enginePort, container: pod.Spec.Containers[0].Name}
	if ports := pod.Spec.Containers[0].Ports; len(ports) > 0 {
		e.port = int(ports[0].ContainerPort)
	}
	at := anyPort
	if r.loopback {
		at = instance(r.ip, e.port)
	}
	var err error
	switch kind := pod.Annotations[Engine]; kind {
	case EngineVLLM:
		e.source = SourceVLLM
		err = e.serve(at, r.hostile(r.vllm(pod)))
	case EngineAgent:
		e.source = SourceAgent
		err = e.serveAgent(at, r, pod)
	case EngineNone, "":
		return
	default:
		err = fmt.Errorf("annotation %s is %q, want %s, %s or %s", Engine, kind, EngineVLLM, EngineAgent, EngineNone)
	}
	if err != nil {
		r.fleet.opts.Log("starting the engine of pod %s: %v", r.name, err)
		return
	}
	r.mu.Lock()
	r.engine = e
	r.mu.Unlock()
	if n := r.fleet.opts.Network; n != nil {
		n.Map(r.ip, e.port, e.addr)
	}
	r.fleet.publish()
}

func (e *engine) serve(at string, handler http.Handler) error {
	s, err := startServer(at, handler)
	if err != nil {
		return err
	}
	e.backend, e.addr = s, s.addr
	return nil
}

func (e *engine) serveAgent(at string, r *podRun, pod *corev1.Pod) error {
	program := r.fleet.opts.AgentProgram
	if program == nil {
		a, err := startAgent(at, r, pod)
		if err != nil {
			return err
		}
		e.backend, e.addr = a, a.addr
		return nil
	}
	if !r.loopback {
		return fmt.Errorf("the agent's program needs an address of its own: annotation %s is not %s", Address, AddressLoopback)
	}
	p := &agentProcess{program: *program, run: r, at: at, hostPID: pod.Spec.HostPID}
	e.backend, e.addr = p, at
	if err := p.listen(); err != nil {
		p.stop()
		return err
	}
	return nil
}

// vllm answers as the vLLM server of the pod.
func (r *podRun) vllm(pod *corev1.Pod) http.Handler {
	model := pod.Annotations[ModelName]
	if model == "" {
		model = r.workload.Name
	}
	born := time.Now()
	return metricsHandler(textFormat, func() []byte {
		load := r.fleet.load(r).Engine
		if wrong, ok := wrongValues[r.annotation(Hostile)]; ok {
			load.Running, load.Waiting, load.KVCache = wrong, wrong, wrong
		}
		return exposeVLLM(model, born, load)
	})
}

// listen lets the engine answer, or lets its address refuse connections while it stays known as a target.
func (r *podRun) listen(on bool) {
	r.mu.Lock()
	e := r.engine
	r.mu.Unlock()
	if e == nil {
		return
	}
	if !on {
		e.stop()
		return
	}
	if err := e.listen(); err != nil {
		r.fleet.opts.Log("starting the engine of pod %s again: %v", r.name, err)
	}
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
