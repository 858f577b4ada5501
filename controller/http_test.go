package controller

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gpuscaler/gpuscaler/policy"
)

func nothing() labels.Selector { return labels.Nothing() }

// get asks a handler.
func get(h http.Handler, path string, header ...string) (int, string) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestWorkloadsAsJSON(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.deploy("bad", 3, asks(policy.RunningRequests, "max-replicas", "many"))
	b.tick(0)
	code, body := get(b.Handler(), "/api/v1/workloads")
	want := `{"workloads":[{"namespace":"ns","name":"a","current":2,"recommended":4,"guarded":4,"stabilized":4,"limited":4,"desired":4,` +
		`"reason":"ReadyForNewScale","message":"running-requests is 100 for a target of 50, which asks for 4 instead of 2",` +
		`"signals":{"running-requests":{"value":100,"target":50,"recommended":4,"missing":0,"source":"test_metric"}},` +
		`"time":"2000-01-01T00:00:00Z","pods":{"ready":2,"loading":0,"unschedulable":0}},`
	if code != http.StatusOK || !strings.HasPrefix(body, want) {
		t.Errorf("%d\n%s\nwant 200 and\n%s", code, body, want)
	}
	var report Report
	if err := json.Unmarshal([]byte(body), &report); err != nil || len(report.Workloads) != 2 {
		t.Fatalf("%v, %d workloads", err, len(report.Workloads))
	}
	if w := report.Workloads[1]; w.Reason != policy.InvalidAnnotations || len(w.Problems) != 1 || w.Current != 3 || w.Desired != 3 {
		t.Errorf("the bad one: %+v", w)
	}
	code, body = get(b.Handler(), "/api/v1/workloads/ns/a")
	if code != http.StatusOK || !strings.HasPrefix(body, `{"namespace":"ns","name":"a",`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body = get(b.Handler(), "/api/v1/workloads/ns/none"); code != http.StatusNotFound || !strings.Contains(body, `"none"`) {
		t.Errorf("%d %s, want 404 naming it", code, body)
	}
	if code, body = get(b.Handler(), "/"); code != http.StatusOK || !strings.Contains(body, "ReadyForNewScale") {
		t.Errorf("%d %s, want a page with the reason", code, body)
	}
}

func TestEmptyListIsAList(t *testing.T) {
	if _, body := get(newBed(t).Handler(), "/api/v1/workloads"); body != "{\"workloads\":[]}\n" {
		t.Errorf("%q, want an empty list", body)
	}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		h := b.Handler()
		if code, _ := get(h, "/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("ready with %d before the caches are synced", code)
		}
		time.Sleep(time.Hour)
		if code, _ := get(h, "/healthz"); code != http.StatusOK {
			t.Errorf("unhealthy with %d before the first tick", code)
		}
		b.Tick(t.Context(), time.Now())
		b.ready.Store(true)
		time.Sleep(time.Minute)
		if code, _ := get(h, "/healthz"); code != http.StatusOK {
			t.Errorf("unhealthy with %d after 60s", code)
		}
		if code, _ := get(h, "/readyz"); code != http.StatusOK {
			t.Errorf("not ready with %d", code)
		}
		time.Sleep(time.Second)
		if code, body := get(h, "/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "61s") && !strings.Contains(body, "1m1s") {
			t.Errorf("%d %q after 61s without a tick, want 503", code, body)
		}
	})
}

func TestStandbyForwardsToTheLeader(t *testing.T) {
	var hops []string
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops = append(hops, r.URL.Path+" "+r.Header.Get(forwarded)+r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "from the leader")
	}))
	defer leader.Close()
	l := newLeases()
	l.hold(t, Identity("other", strings.TrimPrefix(leader.URL, "http://"), ""))
	b := electing(t, l, "me_1_127.0.0.1:1")
	h := b.Handler()
	if code, body := get(h, "/"); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s before the leader is known, want 503", code, body)
	}
	go b.start(t.Context())
	for b.lease.elector.GetLeader() == "" {
		time.Sleep(time.Millisecond)
	}
	for _, path := range []string{"/", "/api/v1/workloads", "/api/v1/workloads/ns/a"} {
		if code, body := get(h, path, "Authorization", "Bearer secret"); code != http.StatusOK || body != "from the leader" {
			t.Errorf("%s: %d %q, want the leader's answer", path, code, body)
		}
		if code, _ := get(h, path, forwarded, "1"); code != http.StatusServiceUnavailable {
			t.Errorf("%s: a request that was forwarded is forwarded again (%d)", path, code)
		}
	}
	if len(hops) != 3 || hops[0] != "/ 1" {
		t.Errorf("the leader saw %q, want three marked requests without credentials", hops)
	}
	if code, _ := get(h, "/metrics"); code != http.StatusOK {
		t.Errorf("/metrics of a standby answers %d", code)
	}
	leader.Close()
	if code, body := get(h, "/"); code != http.StatusBadGateway {
		t.Errorf("%d %s with a dead leader, want 502", code, body)
	}
	if code, body := get(b.SecureHandler(&tls.Config{}), "/"); code != http.StatusServiceUnavailable || !strings.Contains(body, "serves the same way") {
		t.Errorf("%d %s with a leader that serves without TLS only, want 503", code, body)
	}
}

// One Deployment with both must not take the metrics of all away.
func TestSignalWithTargetAndSteps(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.GPUUtilization, 60)
	b.deploy("a", 2, asks(policy.GPUUtilization, "steps.gpu-utilization", ">90:+2"))
	s := b.tick(0)
	if code, body := get(b.Handler(), "/metrics"); code != http.StatusOK || strings.Count(body, `gpuscaler_signal_value{`) != 1 {
		t.Errorf("%d %s, want one value of the signal", code, body)
	}
	if got := ReportOf(s).Workloads[0].Signals[policy.GPUUtilization]; got.Target != 50 {
		t.Errorf("reported as %+v, want its target", got)
	}
}

func TestMetricsAreLinted(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests, "paused", "up"))
	b.tick(0)
	problems, err := testutil.GatherAndLint(b.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestWorkloadMetrics(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests, "paused", "up"))
	b.tick(0)
	b.deploy("a", 2, asks(policy.RunningRequests, "dry-run", "true"))
	b.tick(1)
	_, body := get(b.Handler(), "/metrics")
	for _, want := range []string{
		`gpuscaler_current_replicas{namespace="ns",workload="a",workload_kind="Deployment"} 2`,
		`gpuscaler_desired_replicas{namespace="ns",workload="a",workload_kind="Deployment"} 4`,
		`gpuscaler_spec_min_replicas{namespace="ns",workload="a",workload_kind="Deployment"} 1`,
		`gpuscaler_spec_max_replicas{namespace="ns",workload="a",workload_kind="Deployment"} 10`,
		`gpuscaler_signal_value{namespace="ns",signal="running-requests",workload="a",workload_kind="Deployment"} 100`,
		`gpuscaler_signal_target{namespace="ns",signal="running-requests",workload="a",workload_kind="Deployment"} 50`,
		`gpuscaler_held{namespace="ns",reason="Paused",workload="a",workload_kind="Deployment"} 0`,
		`gpuscaler_condition{namespace="ns",reason="Paused",workload="a",workload_kind="Deployment"} 0`,
		`gpuscaler_decisions_total{reason="Paused"} 1`,
		`gpuscaler_decisions_total{reason="ReadyForNewScale"} 1`,
		`gpuscaler_scale_writes_total{result="dry_run"} 1`,
		`gpuscaler_gpu_seconds_total{namespace="ns",state="serving",workload="a",workload_kind="Deployment"} 10`,
		`gpuscaler_query_duration_seconds_count 2`,
		`gpuscaler_tick_duration_seconds_count 2`,
		`gpuscaler_ticks_missed_total 0`,
		`gpuscaler_startup_seconds_count 0`,
		`gpuscaler_leader 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// What an Event tells of is a metric too, also where it holds nothing back, and goes to 0 when it has passed.
func TestConditionMetric(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.GPUUtilization, 100)
	b.deploy("a", 2, asks(policy.GPUUtilization, "target.running-requests", "50"))
	want := func(condition string) {
		t.Helper()
		_, body := get(b.Handler(), "/metrics")
		const of = `{namespace="ns",reason="NoData",workload="a",workload_kind="Deployment"}`
		if strings.Contains(body, "gpuscaler_held"+of) {
			t.Error("NoData holds the workload back: this test shows nothing")
		}
		if !strings.Contains(body, "gpuscaler_condition"+of+" "+condition+"\n") {
			t.Errorf("gpuscaler_condition of NoData is not %s in\n%s", condition, body)
		}
	}
	if s := b.tick(0); s.Workloads[0].Decision.Desired != 4 {
		t.Fatalf("wants %d, want a raise by the other signal", s.Workloads[0].Decision.Desired)
	}
	want("1")
	b.reader.set(policy.RunningRequests, 50)
	b.tick(1)
	want("0")
}
