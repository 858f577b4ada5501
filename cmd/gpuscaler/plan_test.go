package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/controller"
)

// steady replaces what differs from run to run.
func steady(text string) string {
	text = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).ReplaceAllString(text, "http://SERVER")
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`).ReplaceAllString(text, "TIME")
}

// TestPlan runs plan against an API server and a Prometheus, over HTTP.
func TestPlan(t *testing.T) {
	viaProxy := "--prometheus-url=kube://monitoring/prometheus:9090"
	for _, c := range []struct {
		golden string
		args   []string
	}{
		{"plan.golden", []string{viaProxy}},
		{"plan-one-json.golden", []string{viaProxy, "deployment/vision", "-o", "json"}},
		{"plan-auto.golden", []string{"deploy/vision"}},
		{"plan-no-prometheus.golden", []string{"--prometheus-url=", "-A"}},
		{"plan-missing.golden", []string{viaProxy, "nope"}},
		{"plan-bystander.golden", []string{viaProxy, "bystander"}},
		{"plan-empty.golden", []string{viaProxy, "-n", "elsewhere"}},
		{"plan-empty-json.golden", []string{viaProxy, "-n", "elsewhere", "-o", "json"}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			api := newAPIServer(t)
			got := invoke(t, "", append([]string{"plan", "--controller-url=", "--kubeconfig", api.kubeconfig}, c.args...)...)
			golden(t, c.golden, steady(got.String()))
			if found := api.mutations(); len(found) > 0 {
				t.Errorf("requests that are no reads: %q", found)
			}
			for _, q := range api.queries {
				if !strings.HasPrefix(q, "GET /api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query") {
					t.Errorf("query %q", q)
				}
			}
		})
	}
}

// TestPlanRefused wants an error that says what to do, whatever the API server refuses.
func TestPlanRefused(t *testing.T) {
	for _, c := range []struct {
		resource string
		code     int
		url      string
		want     []string
	}{
		{"deployments", http.StatusForbidden, "auto", []string{"deployments is refused", "deploy/rbac/viewer"}},
		{"deployments", http.StatusUnauthorized, "auto", []string{"log in again", "context laptop, cluster fake"}},
		{"services", http.StatusForbidden, "auto", []string{"services is refused", "--prometheus-url", "deploy/rbac/prometheus-discovery"}},
	} {
		api := newAPIServer(t)
		api.refuse(c.resource, c.code)
		got := invoke(t, "", "plan", "--kubeconfig", api.kubeconfig, "--prometheus-url", c.url)
		for _, want := range c.want {
			if got.code != 1 || got.out != "" || !strings.Contains(got.err, want) {
				t.Errorf("%s %d: want %q, got:\n%v", c.resource, c.code, want, got)
			}
		}
	}
}

// TestDiscovery wants auto to refuse to guess, and to take only what answers.
func TestDiscovery(t *testing.T) {
	api := newAPIServer(t)
	api.service("other", "prometheus", map[string]string{"app.kubernetes.io/name": "prometheus"})
	got := invoke(t, "", "plan", "--kubeconfig", api.kubeconfig)
	for _, want := range []string{"several", "kube://monitoring/prometheus:9090", "kube://other/prometheus:9090", "--prometheus-url"} {
		if got.code != 1 || !strings.Contains(got.err, want) {
			t.Errorf("two candidates: want %q, got:\n%v", want, got)
		}
	}

	api = newAPIServer(t)
	api.prometheus = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Sign in</html>") }
	got = invoke(t, "", "plan", "--kubeconfig", api.kubeconfig)
	if got.code != 1 || !strings.Contains(got.err, "none of the candidates answers") || !strings.Contains(got.err, "kube://monitoring/prometheus:9090: ") {
		t.Errorf("a candidate that is no Prometheus: got:\n%v", got)
	}
}

// TestPlanDirect reads from an http:// URL, with and without the credentials of --prometheus-http-config.
func TestPlanDirect(t *testing.T) {
	api := newAPIServer(t)
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "open sesame" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		api.utilization(w, r)
	}))
	defer prometheus.Close()
	args := []string{"plan", "vision", "-o", "json", "--kubeconfig", api.kubeconfig, "--prometheus-url", prometheus.URL}
	desired := func(got call) int {
		var report controller.Report
		if err := json.Unmarshal([]byte(got.out), &report); err != nil || len(report.Workloads) != 1 {
			t.Fatalf("%v in:\n%v", err, got)
		}
		return report.Workloads[0].Desired
	}
	if got := invoke(t, "", args...); desired(got) != 2 || !strings.Contains(got.err, "approximate: the windows are empty") {
		t.Errorf("without credentials: got:\n%v", got)
	}
	if got := invoke(t, "", append(args, "--prometheus-http-config", "testdata/http-config.yaml")...); desired(got) != 4 {
		t.Errorf("with credentials: got:\n%v", got)
	}
}

// TestPlanWatch wants --watch to decide again and again until it is interrupted.
func TestPlanWatch(t *testing.T) {
	api := newAPIServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		defer in.Close()
		code <- executeContext(ctx, []string{
			"gpuscaler", "plan", "vision", "--watch", "--interval=100ms", "--kubeconfig", api.kubeconfig, "--prometheus-url=kube://monitoring/prometheus:9090",
		}, nil, in, io.Discard)
	}()
	awaitText(t, out, "ReadyForNewScale")
	api.mu.Lock()
	api.prometheus = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusServiceUnavailable) }
	api.mu.Unlock()
	awaitText(t, out, "NoData")
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after an interrupt, want 0", got)
	}
}

// TestCompleteDeployments completes with the annotated Deployments of the namespace, and with nothing where there is no cluster.
func TestCompleteDeployments(t *testing.T) {
	api := newAPIServer(t)
	got := invoke(t, "", "__complete", "plan", "--kubeconfig", api.kubeconfig, "")
	if want := "deployment/vision\ndeployment/broken\n:4\n"; got.out != want {
		t.Errorf("got %q, want %q", got.out, want)
	}
	if got := invoke(t, "", "__complete", "plan", ""); got.out != ":1\n" {
		t.Errorf("without a cluster: got %q", got.out)
	}
}

// TestControllerURL wants a Service that the API server can reach, a port of this machine, or nothing.
func TestControllerURL(t *testing.T) {
	for url, want := range map[string]string{
		"kube://gpuscaler-system/gpuscaler:8080": "",
		"":                                       "",
		"http://localhost:8080":                  "",
		"http://127.0.0.1:8080/":                 "",
		"http://[::1]:8080":                      "",
		"https://localhost:8443":                 "is not allowed",
		"http://localhost.example.com:8080":      "is not allowed",
		"http://10.0.0.1:8080":                   "is not allowed",
		"http://gpuscaler:8080":                  `--controller-url "http://gpuscaler:8080" is not allowed: give kube://NAMESPACE/SERVICE:PORT`,
		"auto":                                   `--controller-url "auto" is not allowed`,
		"kube://gpuscaler":                       "--controller-url: ",
	} {
		got := invoke(t, "", "plan", "--controller-url", url, "--kubeconfig", "nowhere")
		if refused := strings.Contains(got.err, "--controller-url"); refused != (want != "") || !strings.Contains(got.err, want) {
			t.Errorf("%q: got %q, want %q", url, got.err, want)
		}
	}
}
