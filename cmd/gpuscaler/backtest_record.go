package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/past"
	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// rangeTimeout is how long a server may work on one chunk. Nothing waits for it but a person.
const rangeTimeout = time.Minute

// find reads the Deployment that is to be replayed.
func (o *backtestOptions) find(ctx context.Context, c *cluster) (*appsv1.Deployment, error) {
	d, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, o.deployment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no Deployment %q in namespace %q: `gpuscaler plan -A` shows all that are scaled, -n NAMESPACE looks in another", o.deployment, c.namespace)
	}
	return d, clusterError(err, c)
}

// ours are the annotations under our prefix.
func ours(annotations map[string]string) map[string]string {
	own := map[string]string{}
	for key, value := range annotations {
		if strings.HasPrefix(key, policy.Prefix) {
			own[key] = value
		}
	}
	return own
}

// recorder makes a Recording out of what Prometheus has.
type recorder struct {
	prometheus *metrics.Prometheus
	queries    metrics.Queries
	past.Reader
	recording *backtest.Recording
}

// newRecorder prepares to record a Deployment up to now.
func (o *backtestOptions) newRecorder(s *source, d *appsv1.Deployment, queries metrics.Queries, now time.Time) (*recorder, error) {
	if s.prometheus == nil {
		return nil, errNoPrometheus
	}
	steps := int(time.Duration(o.since)/o.interval) + 1
	if steps > simulate.MaxTicks {
		return nil, usagef("--since %v in steps of --interval %v are %d: at most %d are allowed", &o.since, o.interval, steps, simulate.MaxTicks)
	}
	last := now.Add(-time.Duration(now.UnixNano() % int64(o.interval)))
	r := &recorder{
		prometheus: s.prometheus, queries: queries,
		Reader: past.Reader{
			Server: s.prometheus.Server(), Start: last.Add(-time.Duration(steps-1) * o.interval).UTC(), Step: o.interval, Steps: steps, Now: now,
			Wait: pause,
		},
		recording: &backtest.Recording{
			Format: backtest.Version, Namespace: d.Namespace, Name: d.Name, Annotations: ours(d.Annotations),
			StepSeconds: o.interval.Seconds(), Steps: steps, GPUs: max(1, controller.GPUsOf(&d.Spec.Template.Spec)),
		},
	}
	r.recording.Start = r.Start
	if folder, err := os.UserCacheDir(); err == nil && !o.noCache {
		r.Dir = filepath.Join(folder, "gpuscaler", "backtest")
		past.Sweep(r.Dir, now)
	}
	return r, nil
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// record reads signals, pods and replicas.
func (r *recorder) record(ctx context.Context, specs []policy.Spec, all bool, errOut io.Writer) error {
	wanted := wantedSignals(specs, all)
	bar := newProgressBar(errOut, isTerminal(errOut), "reading from Prometheus", r.Chunks()*(len(wanted)+3)) // and owners, readiness, replicas
	defer bar.stop()
	r.Done = bar.step
	owned, err := r.owners(ctx)
	if err != nil {
		return err
	}
	for _, signal := range slices.Sorted(maps.Keys(wanted)) {
		if err := r.signal(ctx, signal, wanted[signal], owned); err != nil {
			return err
		}
	}
	ready, err := r.pods(ctx, metrics.ReadyPods, owned)
	if err != nil {
		return err
	}
	r.recording.Gather(ready)
	said := "readiness: a pod is taken as Ready from its first sample, because kube_pod_status_ready is not recorded"
	if len(ready) > 0 {
		said = "readiness: kube_pod_status_ready of kube-state-metrics"
	}
	r.recording.Sources = append(r.recording.Sources, said)
	if len(r.recording.Pods) == 0 {
		return fmt.Errorf("nothing is recorded of Deployment %s in namespace %s since %s: `gpuscaler plan deployment/%s` shows whether anything is now, --since another time",
			r.recording.Name, r.recording.Namespace, r.Start.Format(time.RFC3339), r.recording.Name)
	}
	return r.replicas(ctx)
}

// wantedSignals are those that the policies look at, with the queries of custom ones; with all, every signal there is.
func wantedSignals(specs []policy.Spec, all bool) map[policy.Signal]string {
	wanted := map[policy.Signal]string{}
	for i := range specs {
		for _, s := range append(specs[i].Signals(), specs[i].Companions()...) {
			wanted[s] = specs[i].Queries[s]
		}
	}
	if all {
		for _, info := range policy.Signals() {
			if _, given := wanted[info.Signal]; !given {
				wanted[info.Signal] = ""
			}
		}
	}
	return wanted
}

// signal reads one signal.
func (r *recorder) signal(ctx context.Context, signal policy.Signal, query string, owned func(string) bool) error {
	part := backtest.Signal{Signal: signal}
	key, read := r.builtin(signal, owned)
	if query != "" {
		q, ok := r.queries[query]
		if !ok {
			return fmt.Errorf("the signal %s is read by the query %q, which is not defined: --queries names the file that defines queries", signal, query)
		}
		key, read = r.query(q, func(string) bool { return true })
	}
	if err := r.Read(ctx, key, read, func(more *backtest.Signal, first int) { past.Append(&part, more, first) }); err != nil {
		return err
	}
	if len(part.Pods) > 0 || part.Workload != nil {
		r.recording.Signals = append(r.recording.Signals, part)
	}
	return nil
}

// builtin reads a built-in signal of the Deployment's pods.
func (r *recorder) builtin(signal policy.Signal, owned func(string) bool) (key string, read past.Read) {
	namespaces := []string{r.recording.Namespace}
	expressions, err := r.prometheus.Queries(signal, namespaces)
	return strings.Join(append(expressions, r.recording.Name, r.recording.Sources[0]), "\n"), func(ctx context.Context, start, end time.Time, step time.Duration) (backtest.Signal, error) {
		part := backtest.Signal{}
		if err != nil {
			return part, err
		}
		results, err := r.prometheus.ReadRange(ctx, signal, namespaces, start, end, step)
		if err != nil {
			return part, err
		}
		for i := range results {
			at := int(results[i].ServerTime.Sub(start).Round(time.Millisecond) / step)
			for key, reading := range results[i].Samples.All() {
				if owned(key.Pod) {
					part.Add(key.Pod, at, backtest.ValueOf(reading.Value, reading.Idle))
				}
			}
		}
		return part, nil
	}
}

// query reads a query for the Deployment.
func (r *recorder) query(q metrics.Query, owned func(string) bool) (key string, read past.Read) {
	namespace, name := r.recording.Namespace, r.recording.Name
	return strings.Join([]string{q.Query, namespace, name}, "\n"), func(ctx context.Context, start, end time.Time, step time.Duration) (backtest.Signal, error) {
		part := backtest.Signal{}
		results, err := r.prometheus.ReadQueryRange(ctx, q, namespace, name, start, end, step)
		if err != nil {
			return part, err
		}
		for i := range results {
			at := int(results[i].ServerTime.Sub(start).Round(time.Millisecond) / step)
			if !results[i].PerPod && results[i].OK {
				part.AddWorkload(at, backtest.ValueOf(results[i].Value.Value, false))
			}
			for key, reading := range results[i].Samples.All() {
				if owned(key.Pod) {
					part.Add(key.Pod, at, backtest.ValueOf(reading.Value, false))
				}
			}
		}
		return part, nil
	}
}
