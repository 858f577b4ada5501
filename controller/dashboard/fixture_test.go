package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// noon is the time of the last tick: shortly before the tests run, so that it is not stale.
var noon = time.Now().UTC().Truncate(time.Second)

// fleet is a Source of fixed workloads.
type fleet struct {
	time      time.Time
	workloads []Workload
	gpus      GPUs
	past      []Stretch
	draw      func(width int, dark bool) ([]byte, error)
}

func (f *fleet) Fleet() Fleet { return Fleet{Time: f.time, Workloads: f.workloads, GPUs: f.gpus} }

func (f *fleet) Detail(namespace, name string) *Detail {
	for i := range f.workloads {
		if w := f.workloads[i]; w.Namespace == namespace && w.Name == name {
			return &Detail{
				Workload: w, Time: f.time, Annotations: map[string]string{"gpuscaler.io/max-replicas": "10"},
				Past: func(skip, n int) (int, []Stretch) {
					from := min(skip, len(f.past))
					return len(f.past), f.past[from:min(from+n, len(f.past))]
				},
				Story: func() explain.Story { return explain.Told(w.Decision.Outcome(), f.time) }, Chart: f.draw, ChartText: func() string { return "Chart: running-requests 1 to 4." },
			}
		}
	}
	return nil
}

// decided is a workload about which policy has decided: so many ready replicas that read a value of running-requests, for a target of 50.
// more are annotations, in pairs; change adjusts what is seen.
func decided(t testing.TB, namespace, name string, replicas int, value float64, change func(*policy.Observation), more ...string) Workload {
	t.Helper()
	annotations := map[string]string{
		policy.Prefix + "enabled": "true", policy.Prefix + "max-replicas": "10", policy.Prefix + "target.running-requests": "50",
	}
	for i := 0; i+1 < len(more); i += 2 {
		annotations[policy.Prefix+more[i]] = more[i+1]
	}
	spec, problems := policy.Parse(annotations, policy.Settings{Interval: 5 * time.Second, MaxSampleAge: 90 * time.Second})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	seen := policy.Observation{Replicas: replicas, Readings: []policy.Reading{{Signal: policy.RunningRequests, Source: "vllm:num_requests_running"}}}
	for i := range replicas {
		seen.Pods = append(seen.Pods, policy.Pod{Name: fmt.Sprint(name, i), Phase: policy.Ready})
		seen.Readings[0].Samples = append(seen.Readings[0].Samples, policy.Sample{Value: value, OK: true})
	}
	if change != nil {
		change(&seen)
	}
	d, _ := policy.Decide(spec, policy.State{}, seen, noon)
	return Workload{
		Namespace: namespace, Name: name, Spec: &spec, Decision: &d, Message: d.Message, Ready: replicas, GPUs: replicas, DryRun: spec.DryRun,
		Free: seen.Free, FreeKnown: seen.FreeKnown,
	}
}

// some is a fleet with one workload of each state.
func some(t testing.TB) *fleet {
	t.Helper()
	bad := decided(t, "a", "bad", 2, 50, nil)
	bad.Problems = policy.Problems{{Key: policy.Prefix + "max-replicas", Value: "many", Message: "is no number"}}
	bad.Message = bad.Problems.Error
	refused := decided(t, "b", "refused", 2, 100, nil)
	refused.WriteProblem = "writing failed: forbidden"
	return &fleet{
		time: noon, gpus: GPUs{Total: 16, Free: 3, Known: true},
		workloads: []Workload{
			bad,
			decided(t, "a", "rising", 2, 100, func(o *policy.Observation) { o.Free, o.FreeKnown = 3, true }),
			decided(t, "a", "steady", 2, 50, nil),
			decided(t, "b", "blind", 2, 0, func(o *policy.Observation) { o.Readings = nil }),
			decided(t, "b", "paused", 2, 100, nil, "paused", "true"),
			refused,
			decided(t, "b", "window", 4, 10, nil),
		},
	}
}

// serve asks the dashboard of a fleet.
func serve(t testing.TB, source Source, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	New(source).Register(mux, func(h http.HandlerFunc) http.Handler { return h })
	r := httptest.NewRequestWithContext(context.Background(), method, path, nil)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}
