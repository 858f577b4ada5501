package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// kind is one kind of change or fault. It happens again and again, with pauses of about that long, and chance is its own: with the same
// seed each kind does the same things in the same order.
type kind struct {
	name  string
	pause time.Duration
	do    func(w *world, r *rand.Rand) error
	// early says that it happens only in the first two thirds: what processes take is seen in those that have lived for a while.
	early bool
}

var kinds = []kind{
	{"a Deployment is deleted and made anew under its name", 4 * time.Second, recreate, false},
	{"a pod is deleted", 3 * time.Second, deletePod, false},
	{"annotations change, to wrong ones and back", 2 * time.Second, annotate, false},
	{"a person scales", 5 * time.Second, scale, false},
	{"a new version rolls out", 8 * time.Second, rollOut, false},
	{"a namespace comes and goes", 6 * time.Second, shortLived, false},
	{"the load changes", 2 * time.Second, load, false},
	{"Prometheus fails", 5 * time.Second, failQueries, false},
	{"the API server is away", 7 * time.Second, cutAPI, false},
	{"a process is killed or stopped", 9 * time.Second, endProcess, true},
	{"people look", 300 * time.Millisecond, look, false},
}

// churn lets everything change and fail for some time.
func (w *world) churn(ctx context.Context, length time.Duration, seed uint64) {
	whole, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	early, cancelEarly := context.WithTimeout(ctx, length*2/3)
	defer cancelEarly()
	var all sync.WaitGroup
	for n, k := range kinds {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		until := whole
		if k.early {
			until = early
		}
		all.Go(func() {
			for sleep(until, k.pause/2+rand.N(k.pause)) {
				if err := k.do(w, r); err != nil {
					w.t.Errorf("%s: %v", k.name, err)
				}
			}
		})
	}
	all.Wait()
}

// sleep waits and reports whether the context is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// one picks one.
func one[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// recreate makes a Deployment that lives for a moment, each time under one of two names. It may be gone before it has a pod.
func recreate(w *world, r *rand.Rand) error {
	builder := fleet.Deployment(w.busy[0].Namespace, one(r, []string{"phoenix", "salamander"})).Replicas(1).Annotations(annotations())
	object, err := builder.Create(w.t.Context(), stage.Cluster.Client())
	if err != nil {
		return err
	}
	stage.Cluster.Fleet.Drive(object.Namespace, object.Name, stage.NewLoad(100))
	time.Sleep(rand.N(3 * time.Second))
	return stage.Cluster.Client().AppsV1().Deployments(object.Namespace).Delete(w.t.Context(), object.Name, metav1.DeleteOptions{})
}

func deletePod(w *world, r *rand.Rand) error {
	d := one(r, w.busy)
	pods := stage.Cluster.Client().CoreV1().Pods(d.Namespace)
	list, err := pods.List(w.t.Context(), metav1.ListOptions{LabelSelector: "app=" + d.Name})
	if err != nil || len(list.Items) == 0 {
		return err
	}
	_ = pods.Delete(w.t.Context(), one(r, list.Items).Name, metav1.DeleteOptions{}) // it may be gone by now
	return nil
}

// edits are changes of annotations that leave the bounds as they are. What is wrong is mended when the churn ends.
var edits = []struct{ key, value string }{
	{"target.gpu-utilization", "50"},
	{"target.gpu-utilization", "40"},
	{"target.gpu-utilization", "much"},
	{"max-replicas", fmt.Sprint(most)},
	{"max-replicas", "-1"},
	{"paused", "false"},
	{"paused", "maybe"},
	{"paused", "true"},
	{"paused", "false"},
	{"dry-run", "true"},
	{"dry-run", "false"},
	{"no-such-key", "x"},
	{"enabled", "true"},
	{"enabled", "perhaps"},
	{"enabled", "false"},
	{"enabled", "true"},
	{"scale-down.order", "least-busy"},
	{"scale-down.order", "default"},
	{"scrape", "8000/metrics"},
	{"steps.gpu-utilization", ">90:+1"},
}

func annotate(w *world, r *rand.Rand) error {
	e := one(r, edits)
	return patch(w, one(r, w.busy), types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, stage.Prefix+e.key, e.value))
}

// patch changes a Deployment as kubectl patch does.
func patch(w *world, d stage.Deployment, kind types.PatchType, text string, subresources ...string) error {
	_, err := stage.Cluster.Client().AppsV1().Deployments(d.Namespace).Patch(w.t.Context(), d.Name, kind, []byte(text),
		metav1.PatchOptions{FieldManager: "kubectl"}, subresources...)
	return err
}

func scale(w *world, r *rand.Rand) error {
	return patch(w, one(r, w.busy), types.MergePatchType, fmt.Sprintf(`{"spec":{"replicas":%d}}`, fewest+r.IntN(most-fewest+1)), "scale")
}

func rollOut(w *world, r *rand.Rand) error {
	return patch(w, one(r, w.busy), types.StrategicMergePatchType,
		fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"version":"%d"}}}}}`, r.Uint64()))
}

// shortLived makes a namespace with a Deployment and deletes it with all that is in it.
func shortLived(w *world, _ *rand.Rand) error {
	ns, err := stage.Cluster.Namespace(w.t.Context(), "short")
	if err != nil {
		return err
	}
	_, err = fleet.Deployment(ns, "mayfly").Replicas(1).Annotations(annotations()).Create(w.t.Context(), stage.Cluster.Client())
	if err != nil {
		return err
	}
	time.Sleep(rand.N(4 * time.Second))
	return stage.Cluster.Client().CoreV1().Namespaces().Delete(w.t.Context(), ns, metav1.DeleteOptions{})
}

func load(w *world, r *rand.Rand) error {
	one(r, w.loads).SetLoad(float64(r.IntN(7 * 50)))
	return nil
}

func failQueries(w *world, r *rand.Rand) error {
	fault := one(r, []prom.Fault{prom.Hang, prom.Status500, prom.HTML, prom.Refuse})
	if err := w.prometheus.SetFault(fault); err != nil {
		return err
	}
	time.Sleep(time.Second + rand.N(2*time.Second))
	return w.prometheus.SetFault(prom.Normal)
}

// cutAPI takes the API server away from one process, or from all, for less than a lease.
func cutAPI(w *world, r *rand.Rand) error {
	from := w.replicas
	if r.IntN(2) == 0 {
		from = []*replica{one(r, w.replicas)}
	}
	for _, f := range from {
		if r.IntN(2) == 0 {
			f.proxy.Cut()
		} else {
			f.proxy.Hang()
		}
	}
	time.Sleep(time.Second + rand.N(3*time.Second))
	for _, f := range from {
		if err := f.proxy.Restore(); err != nil {
			return err
		}
	}
	return nil
}

// endProcess ends the leader, or now and then another, at once or in order.
func endProcess(w *world, r *rand.Rand) error {
	victim := one(r, w.replicas)
	if led := leaders(w.replicas); len(led) > 0 && r.IntN(3) > 0 {
		victim = led[0]
	}
	if r.IntN(2) == 0 {
		victim.restart(func(p *stage.Process) { p.Kill() })
	} else {
		victim.restart(func(p *stage.Process) { p.Stop(w.t) })
	}
	return nil
}

// look reads what the program shows. Whether it answers depends on what fails just then.
func look(w *world, r *rand.Rand) error {
	d := one(r, w.steady())
	at := d.Namespace + "/" + d.Name
	page := one(r, []string{
		"/", "/metrics", "/healthz", "/readyz", "/api/v1/workloads", "/api/v1/workloads/" + at, "/api/v1/workloads/" + at + "/history?since=1m", "/workloads/" + at,
	})
	_, _ = stage.Get("http://" + one(r, w.replicas).running().Listen + page)
	return nil
}

// calm ends what the churn has left behind.
func (w *world) calm() {
	w.t.Helper()
	if err := w.prometheus.SetFault(prom.Normal); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range w.replicas {
		if err := r.proxy.Restore(); err != nil {
			w.t.Fatal(err)
		}
	}
	for n, d := range w.busy {
		w.loads[n].SetLoad(restReplicas * 50)
		all := annotations()
		for _, e := range edits {
			if _, ours := all[stage.Prefix+e.key]; ours {
				continue
			}
			if err := patch(w, d, types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, stage.Prefix+e.key)); err != nil {
				w.t.Fatal(err)
			}
		}
		for k, v := range all {
			if err := patch(w, d, types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, k, v)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
