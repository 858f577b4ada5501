package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// stage is a cluster in which workloads of many states are scaled.
type stage struct {
	bed        *bed.Bed
	prometheus *prom.Server
	fleet      *fleet.Fleet
	program    *exec.Cmd
	path       string // of the program
	admin      string // kubeconfig of one who may read all
	listen     string
	log        *os.File
}

// newStage starts everything, and returns when the program has decided for a while.
func newStage(ctx context.Context) (s *stage, err error) {
	s = &stage{}
	if s.bed, err = bed.Start(ctx, bed.Options{}); err != nil {
		return s, err
	}
	s.admin = filepath.Join(s.bed.Dir(), "admin")
	if err := s.bed.Kubeconfig(s.admin); err != nil {
		return s, err
	}
	config, _, err := install.Rights(ctx, s.bed, "../../deploy/rbac")
	if err != nil {
		return s, err
	}
	if s.prometheus, err = prom.Start(prom.Options{Dir: s.bed.Dir(), Interval: time.Second}); err != nil {
		return s, err
	}
	nodes, err := s.bed.KubeletConfig()
	if err != nil {
		return s, err
	}
	s.fleet, err = fleet.Start(ctx, nodes, fleet.Options{
		Network: s.bed.Egress(), Scraper: s.prometheus, StartDelay: 100 * time.Millisecond, LoadTime: 2 * time.Second,
	})
	if err != nil {
		return s, err
	}
	if err := s.fleet.AddNodes(ctx, 4, 4); err != nil {
		return s, err
	}
	if s.path, err = gpuscaler.Build(ctx, "../..", s.bed.Dir()); err != nil {
		return s, err
	}
	loads, err := s.deploy(ctx)
	if err != nil {
		return s, err
	}
	if err := s.start(ctx, config); err != nil {
		return s, err
	}
	return s, s.play(ctx, loads)
}

// prefix is that of the annotations.
const prefix = "gpuscaler.io/"

// deploy creates a workload of each kind, and returns the loads that change.
func (s *stage) deploy(ctx context.Context) (map[string]*fleet.Shared, error) {
	requests := func(share float64) fleet.Reading {
		return fleet.Reading{Running: share, Waiting: max(0, share-32), KVCache: min(1, share/48), GPUUtilization: min(100, 3*share)}
	}
	loads := map[string]*fleet.Shared{}
	for _, w := range []struct {
		namespace, name string
		replicas        int32
		load            float64
		read            func(float64) fleet.Reading
		annotations     map[string]string
	}{
		{"llm", "chat", 2, 30, requests, map[string]string{"target.running-requests": "16", "target.queue-depth": "4", "scale-down.stabilization": "30s", "max-replicas": "6"}},
		{"llm", "embed", 1, 10, requests, map[string]string{"target.running-requests": "16", "paused": "true", "max-replicas": "4"}},
		{"llm", "mistyped", 1, 10, requests, map[string]string{"target.running-requests": "sixteen", "max-replicas": "4"}},
		{"vision", "detect", 2, 100, nil, map[string]string{"target.gpu-utilization": "60", "max-replicas": "20", "max-pending": "1"}},
		{"vision", "trial", 1, 150, nil, map[string]string{"target.gpu-utilization": "60", "max-replicas": "4", "dry-run": "true"}},
	} {
		if err := s.namespace(ctx, w.namespace); err != nil {
			return nil, err
		}
		annotations := map[string]string{prefix + "enabled": "true"}
		for k, v := range w.annotations {
			annotations[prefix+k] = v
		}
		load := fleet.NewShared(w.read)
		load.SetLoad(w.load)
		loads[w.name] = load
		s.fleet.Drive(w.namespace, w.name, load)
		builder := fleet.Deployment(w.namespace, w.name).Replicas(w.replicas).Annotations(annotations)
		if w.read != nil {
			builder.VLLM()
		}
		if _, err := builder.Create(ctx, s.bed.Client()); err != nil {
			return nil, err
		}
	}
	return loads, nil
}

// namespace creates one, unless it is there.
func (s *stage) namespace(ctx context.Context, name string) error {
	if _, err := s.bed.Client().CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err == nil {
		return nil
	}
	_, err := s.bed.Client().CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// start runs the program under the rights that deploy/ ships.
func (s *stage) start(ctx context.Context, config string) (err error) {
	var listener net.ListenConfig
	l, err := listener.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listen = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.bed.Dir(), "gpuscaler.log")); err != nil {
		return err
	}
	// It outlives the start, whose context is bounded: close ends it.
	s.program = exec.CommandContext(context.WithoutCancel(ctx), s.path, "run", "--kubeconfig", config, "--listen", s.listen, "--interval", "1s",
		"--prometheus-url", s.prometheus.URL(), "--leader-elect=false")
	s.program.Stdout, s.program.Stderr = s.log, s.log
	return s.program.Start()
}

// play changes the loads for a while, so that there is something to see, and waits for what the tests expect at its end.
func (s *stage) play(ctx context.Context, loads map[string]*fleet.Shared) error {
	want := func(namespace, name, reason string, replicas int) func() (bool, error) {
		return func() (bool, error) {
			got, err := s.ask(ctx, namespace, name)
			return err == nil && (reason == "" || got.Reason == reason) && (replicas == 0 || got.Current == replicas), nil
		}
	}
	if err := bed.Until(ctx, want("llm", "chat", "DesiredWithinRange", 2)); err != nil {
		return fmt.Errorf("waiting for chat to settle: %w", err)
	}
	time.Sleep(5 * time.Second)
	loads["chat"].SetLoad(80)
	loads["detect"].SetLoad(1000) // more than there are GPUs for
	for _, w := range []func() (bool, error){
		want("vision", "detect", "Unschedulable", 0), want("llm", "chat", "", 5), want("llm", "embed", "DesiredWithinRange", 1),
		want("llm", "mistyped", "InvalidAnnotations", 0),
	} {
		if err := bed.Until(ctx, w); err != nil {
			return fmt.Errorf("waiting for the workloads: %w", err)
		}
	}
	time.Sleep(5 * time.Second)
	loads["chat"].SetLoad(30)
	if err := bed.Until(ctx, want("llm", "chat", "ScaleDownStabilized", 5)); err != nil {
		return fmt.Errorf("waiting for chat to be held: %w", err)
	}
	return nil
}

// answer is what the program tells of a workload, as much as is asked for here.
type answer struct {
	Current, Desired int
	Reason, Message  string
}

// ask asks the program's API about a workload.
func (s *stage) ask(ctx context.Context, namespace, name string) (a answer, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/api/v1/workloads/"+namespace+"/"+name, nil)
	if err != nil {
		return a, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return a, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("%s: %s %w", response.Status, text, err)
	}
	return a, json.Unmarshal(text, &a)
}

// close stops what was started, in reverse.
func (s *stage) close() error {
	var errs []error
	if s.program != nil && s.program.Process != nil {
		_ = s.program.Process.Signal(syscall.SIGTERM)
		_ = s.program.Wait()
		errs = append(errs, s.log.Close())
	}
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
