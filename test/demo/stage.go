package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// stage is everything that the program runs against.
type stage struct {
	bed        *bed.Bed
	prometheus *prom.Server
	fleet      *fleet.Fleet
	workloads  []*workload
	// admin and controller are kubeconfig files: for the user who looks, and for the program.
	admin, controller string
}

// newStage starts the control plane, Prometheus and the nodes.
func newStage(ctx context.Context, rights string) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.bed, err = bed.Start(ctx, bed.Options{}); err != nil {
		return s, fmt.Errorf("starting the control plane: %w", err)
	}
	s.admin = s.bed.Dir() + "/kubeconfig"
	if err := s.bed.Kubeconfig(s.admin); err != nil {
		return s, err
	}
	if s.controller, _, err = install.Rights(ctx, s.bed, rights); err != nil {
		return s, err
	}
	if s.prometheus, err = prom.Start(prom.Options{Dir: s.bed.Dir(), Interval: time.Second}); err != nil {
		return s, fmt.Errorf("starting Prometheus: %w", err)
	}
	nodes, err := s.bed.KubeletConfig()
	if err != nil {
		return s, err
	}
	s.fleet, err = fleet.Start(ctx, nodes, fleet.Options{
		Network: s.bed.Egress(), Scraper: s.prometheus, StartDelay: time.Second, LoadTime: 3 * time.Second,
	})
	if err != nil {
		return s, fmt.Errorf("starting the nodes: %w", err)
	}
	return s, s.fleet.AddNodes(ctx, 4, 4)
}

// close stops what was started, in reverse.
func (s *stage) close() error {
	var errs []error
	if s.fleet != nil {
		s.fleet.Stop()
	}
	if s.prometheus != nil {
		errs = append(errs, s.prometheus.Stop())
	}
	if s.bed != nil {
		errs = append(errs, s.bed.Stop())
	}
	return errors.Join(errs...)
}

// workload is a Deployment and the requests that it serves.
type workload struct {
	name   string
	engine bool // a vLLM server
	model  *fleet.Serving
	// low and high are the requests per second between which the load moves.
	low, high   float64
	annotations map[string]string
}

// gpuMemory is what a server holds of its GPU from the start, in MiB.
const gpuMemory = 72000

// createWorkloads makes an LLM that follows its queue and its cache, and a vision model that follows the utilization of its GPU.
func (s *stage) createWorkloads(ctx context.Context) error {
	llm, err := fleet.NewServing(serving.Config{
		Server:       serving.Server{MaxRunning: 32, TokensPerSecond: 1600, PrefillTokensPerSecond: 20000, KVTokens: 40000},
		PromptTokens: 512, OutputTokens: 256, Seed: 1,
	}, gpuMemory)
	if err != nil {
		return err
	}
	vision, err := fleet.NewServing(serving.Config{
		Server:       serving.Server{MaxRunning: 8, TokensPerSecond: 2000, PrefillTokensPerSecond: 20000, KVTokens: 40000},
		PromptTokens: 1000, OutputTokens: 1, Seed: 2,
	}, gpuMemory)
	if err != nil {
		return err
	}
	s.workloads = []*workload{
		{
			name: "llama", engine: true, model: llm, low: 2, high: 22,
			annotations: map[string]string{"target.queue-depth": "4", "target.kv-cache": "80", "max-replicas": "6"},
		},
		{
			name: "vision", model: vision, low: 5, high: 50,
			annotations: map[string]string{"target.gpu-utilization": "60", "max-replicas": "6"},
		},
	}
	for _, w := range s.workloads {
		if err := s.create(ctx, w); err != nil {
			return fmt.Errorf("creating Deployment %s: %w", w.name, err)
		}
	}
	return nil
}

// create creates one Deployment in namespace default.
func (s *stage) create(ctx context.Context, w *workload) error {
	w.annotations["enabled"] = "true"
	w.annotations["scale-down.stabilization"] = "30s"
	annotations := map[string]string{}
	for k, v := range w.annotations {
		annotations["gpuscaler.io/"+k] = v
	}
	s.fleet.Drive("default", w.name, w.model)
	builder := fleet.Deployment("default", w.name).Annotations(annotations)
	if w.engine {
		builder.VLLM()
	}
	if err := w.model.SetRate(w.low); err != nil {
		return err
	}
	_, err := builder.Create(ctx, s.bed.Client())
	return err
}
