package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDoctor runs doctor against an API server and a Prometheus, over HTTP.
func TestDoctor(t *testing.T) {
	viaProxy := "--prometheus-url=kube://monitoring/prometheus:9090"
	for _, c := range []struct {
		golden string
		args   []string
		code   int
		change func(*apiServer)
	}{
		{"doctor.golden", []string{viaProxy}, 1, nil},
		{"doctor-one-json.golden", []string{viaProxy, "deployment/vision", "-o", "json"}, 0, nil},
		{"doctor-auto.golden", []string{"deploy/vision"}, 0, nil},
		{"doctor-no-prometheus.golden", []string{"--prometheus-url=", "-A"}, 1, nil},
		{"doctor-missing.golden", []string{viaProxy, "nope"}, 1, nil},
		{"doctor-empty.golden", []string{viaProxy, "-n", "elsewhere"}, 3, nil},
		{"doctor-down.golden", []string{viaProxy, "deployment/vision"}, 1, func(s *apiServer) {
			s.prometheus = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) }
		}},
		{"doctor-no-series.golden", []string{viaProxy, "deployment/vision"}, 1, func(s *apiServer) {
			s.prometheus = func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "query_range") {
					writeObject(w, map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": []any{}}})
					return
				}
				writeObject(w, map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": []any{}}})
			}
		}},
		{"doctor-rights.golden", []string{viaProxy, "deployment/vision"}, 1, func(s *apiServer) {
			for _, right := range []string{"list pods", "watch pods", "list nodes", "patch deployments/scale", "get services/proxy"} {
				s.denied[right] = true
			}
			s.refuse("pods", http.StatusForbidden)
			s.refuse("nodes", http.StatusForbidden)
		}},
		{"doctor-controller.golden", []string{viaProxy, "deployment/vision", "--as", "system:serviceaccount:gpuscaler-system:gpuscaler"}, 1, func(s *apiServer) {
			s.denied["patch deployments/scale"], s.denied["update configmaps"] = true, true
		}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			api := newAPIServer(t)
			api.prometheus = api.inspected
			if c.change != nil {
				c.change(api)
			}
			got := invoke(t, "", append([]string{"doctor", "--kubeconfig", api.kubeconfig}, c.args...)...)
			golden(t, c.golden, steadyAges(steady(got.String())))
			if got.code != c.code {
				t.Errorf("exit code %d, want %d", got.code, c.code)
			}
			if found := api.mutations(); len(found) > 0 {
				t.Errorf("requests that are no reads: %q", found)
			}
		})
	}
}

// inspected answers as a Prometheus that can be looked into: to questions about the series, when samples were taken, and how often.
func (s *apiServer) inspected(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	answer := func(rows ...map[string]any) {
		if rows == nil {
			rows = []map[string]any{}
		}
		writeObject(w, map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": rows}})
	}
	now := float64(time.Now().UnixMilli()) / 1000
	row := func(labels map[string]string, value float64) map[string]any {
		return map[string]any{"metric": labels, "value": []any{now, fmt.Sprint(value)}}
	}
	marked := func(mark string, value float64) map[string]any { return row(map[string]string{"source": mark}, value) }
	switch {
	case strings.HasSuffix(r.URL.Path, "/buildinfo"):
		writeObject(w, map[string]any{"status": "success", "data": map[string]string{"version": "3.16.0"}})
	case strings.HasPrefix(query, "vector(time())"):
		answer(row(map[string]string{}, now))
	case strings.Contains(query, "changes("):
		answer(marked("changes", 19), marked("samples", 40), marked("lately", 4))
	case strings.Contains(query, "GPU_I_PROFILE"):
		answer()
	case strings.Contains(query, "all DCGM_FI_DEV_GPU_UTIL"):
		answer(marked("all DCGM_FI_DEV_GPU_UTIL", 8), marked("unnamed DCGM_FI_DEV_GPU_UTIL", 6))
	case strings.HasPrefix(query, "label_replace(max by (exported_namespace, exported_pod, pod, UUID, uuid, GPU_I_ID, gpu) (timestamp("):
		answer(row(map[string]string{"namespace": "team", "pod": "vision-1-0"}, now-7), row(map[string]string{"namespace": "team", "pod": "vision-1-1"}, now-7))
	default:
		s.utilization(w, r)
	}
}

// steadyAges replaces what the clocks say: the server's is ours here.
func steadyAges(text string) string {
	return regexp.MustCompile(`is \d+h?[0-9hms.]* old`).ReplaceAllString(text, "is AGE old")
}

// TestDoctorUsage refuses flags that make no sense.
func TestDoctorUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"give -n NAMESPACE instead of --all-namespaces": {"deployment/llm", "-A"},
		"only Deployments are scaled":                   {"statefulset/llm"},
		`"No" is no name of a namespace`:                {"--leader-elect-resource-namespace", "No"},
	} {
		if got := invoke(t, "", append([]string{"doctor"}, args...)...); got.code != exitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%q: got\n%v\nwant %s", args, got, want)
		}
	}
}

// TestDoctorUnreachable says what to do about a cluster that does not answer.
func TestDoctorUnreachable(t *testing.T) {
	api := newAPIServer(t)
	api.Close()
	if got := invoke(t, "", "doctor", "--kubeconfig", api.kubeconfig); got.code != exitError || !strings.Contains(got.err, "--context chooses another cluster") {
		t.Errorf("got\n%v", got)
	}
}
