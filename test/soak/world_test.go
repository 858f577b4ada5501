package soak

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// The bounds of every Deployment here. People and churn keep within them too, so that they are never left.
const fewest, most = 1, 6

// world is what the soak plays in.
type world struct {
	t          *testing.T
	prometheus *prom.Server
	replicas   []*replica
	// rock is under a steady load that asks for its replicas, and nobody touches it.
	rock stage.Deployment
	// busy are Deployments that everything happens to, and loads are theirs.
	busy  []stage.Deployment
	loads []*stage.Load
	// direct is read from its pods.
	direct stage.Deployment
}

// rockReplicas are those of the rock, and restReplicas those of the others at the beginning and in the end.
const rockReplicas, restReplicas = 4, 2

// annotations are those of a Deployment of this world.
func annotations(more ...string) map[string]string {
	return stage.GPUAnnotations(append([]string{
		"min-replicas", fmt.Sprint(fewest), "max-replicas", fmt.Sprint(most), "scale-down.stabilization", "3s", "override-hold", "3s",
	}, more...)...)
}

// newWorld makes it, without the program.
func newWorld(t *testing.T) *world {
	w := &world{t: t, prometheus: stage.StartPrometheus(t, false)}
	ns := stage.Namespace(t, "soak")
	w.rock = stage.Create(t, ns, "rock", rockReplicas, annotations(), stage.NewLoad(rockReplicas*50))
	for n := range 3 {
		load := stage.NewLoad(restReplicas * 50)
		w.busy = append(w.busy, stage.Create(t, stage.Namespace(t, "busy"), fmt.Sprint("busy-", n), restReplicas, annotations(), load))
		w.loads = append(w.loads, load)
	}
	a := annotations("target.queue-depth", "4", "scrape", "8000/metrics")
	delete(a, stage.Prefix+"target.gpu-utilization")
	builder := fleet.Deployment(ns, "direct").Replicas(restReplicas).Annotations(a).VLLM().Loopback()
	w.direct = stage.Launch(t, builder, fleet.NewFixed(fleet.Reading{Waiting: 4, Running: 8, GenerationTokens: 100}))
	for _, d := range w.steady() {
		stage.Sampled(t, w.prometheus, fmt.Sprintf("count(DCGM_FI_DEV_GPU_UTIL{exported_namespace=%q})", d.Namespace), 1)
	}
	return w
}

// steady are the Deployments that stay.
func (w *world) steady() []stage.Deployment {
	return append([]stage.Deployment{w.rock, w.direct}, w.busy...)
}

// settled tells what a world at rest still lacks.
func (w *world) settled() error {
	for _, r := range w.replicas {
		if _, err := stage.Get("http://" + r.running().Listen + "/readyz"); err != nil {
			return err
		}
	}
	led := leaders(w.replicas)
	if len(led) != 1 {
		return fmt.Errorf("%d leaders", len(led))
	}
	text, err := stage.Get("http://" + led[0].running().Listen + "/api/v1/workloads")
	if err != nil {
		return err
	}
	var told struct{ Workloads []stage.Workload }
	if err := json.Unmarshal(text, &told); err != nil {
		return err
	}
	if len(told.Workloads) != len(w.steady()) {
		return fmt.Errorf("%d workloads, want %d", len(told.Workloads), len(w.steady()))
	}
	for _, d := range told.Workloads {
		want := restReplicas
		if d.Name == w.rock.Name {
			want = rockReplicas
		}
		if d.Reason != "WithinTolerance" || d.Current != want {
			return fmt.Errorf("%s: %d replicas, want %d, and %s: %s", d.Name, d.Current, want, d.Reason, d.Message)
		}
	}
	return nil
}

// usages measures the leader, which comes first, and the others. It takes some seconds.
func (w *world) usages() ([]usage, error) {
	order := leaders(w.replicas)
	for _, r := range w.replicas {
		if !slices.Contains(order, r) {
			order = append(order, r)
		}
	}
	list, problems := make([]usage, len(order)), make([]error, len(order))
	var all sync.WaitGroup
	for i, r := range order {
		all.Go(func() { list[i], problems[i] = measure(r.running()) })
	}
	all.Wait()
	return list, errors.Join(problems...)
}

// watchBounds checks every state of every Deployment until the test ends.
func (w *world) watchBounds() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for w.t.Context().Err() == nil { // the API server ends a watch after a while
			states, err := stage.Cluster.Client().AppsV1().Deployments("").Watch(w.t.Context(), metav1.ListOptions{})
			if err != nil {
				if w.t.Context().Err() == nil {
					w.t.Error(err)
				}
				return
			}
			for event := range states.ResultChan() {
				if d, ok := event.Object.(*appsv1.Deployment); ok && event.Type != watch.Deleted {
					w.checkBounds(d)
				}
			}
		}
	}()
	w.t.Cleanup(func() { <-done }) // the test's context has ended by now
}

// checkBounds looks at one state of a Deployment.
func (w *world) checkBounds(d *appsv1.Deployment) {
	n := int(*d.Spec.Replicas)
	if n < fewest || n > most {
		w.t.Errorf("%s/%s has %d replicas, want %d to %d", d.Namespace, d.Name, n, fewest, most)
	}
	if d.Name == w.rock.Name && n != rockReplicas {
		w.t.Errorf("%s has %d replicas, its load asks for %d all the time", d.Name, n, rockReplicas)
	}
}

// watchProcesses looks at the processes until the function that it returns is called: none has a race or a panic, and one that ends is
// started again.
func (w *world) watchProcesses() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, r := range w.replicas {
				r.keep()
				if families, err := scrape(r.running()); err == nil && value(families, "gpuscaler_panics_total") > 0 {
					w.t.Error("a panic was caught")
				}
			}
			select {
			case <-quit:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() { close(quit); <-done }
}

// remembered tells whether the checkpoint holds a target that is gone, or lacks one.
func (w *world) remembered() error {
	living := map[string]bool{}
	for _, d := range w.steady() {
		object, err := stage.Cluster.Client().AppsV1().Deployments(d.Namespace).Get(w.t.Context(), d.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		living[string(object.UID)] = true
	}
	list, err := stage.Cluster.Client().CoreV1().ConfigMaps(install.Namespace).List(w.t.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=gpuscaler,app.kubernetes.io/component=checkpoint",
	})
	if err != nil {
		return err
	}
	found := 0
	for i := range list.Items {
		if !strings.HasPrefix(list.Items[i].Name, "gpuscaler-checkpoint-") {
			continue
		}
		uids, err := uidsIn(list.Items[i].BinaryData["checkpoint.json.gz"])
		if err != nil {
			return fmt.Errorf("%s: %w", list.Items[i].Name, err)
		}
		for _, uid := range uids {
			if found++; !living[uid] {
				return fmt.Errorf("%s holds %s, which is gone", list.Items[i].Name, uid)
			}
		}
	}
	return bed.Want("targets in the checkpoint", found, len(living))
}

// uidsIn lists the targets of a part of the checkpoint: a line for each, after a header.
func uidsIn(body []byte) (uids []string, err error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(r)
	for {
		var line struct{ UID string }
		switch err := decoder.Decode(&line); {
		case errors.Is(err, io.EOF):
			return uids, nil
		case err != nil:
			return nil, err
		case line.UID != "":
			uids = append(uids, line.UID)
		}
	}
}
