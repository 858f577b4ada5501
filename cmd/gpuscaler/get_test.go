package main

import (
	"net/http"
	"regexp"
	"testing"
)

// aged replaces ages and addresses, which differ from run to run.
func aged(text string) string {
	return regexp.MustCompile(`\b\d+m\b`).ReplaceAllString(steady(text), "AGE")
}

// TestGet lists what opted in, with and without a controller that can be asked.
func TestGet(t *testing.T) {
	const decisions = `{"workloads":[{"namespace":"team","name":"vision","current":2,"desired":4,"reason":"ReadyForNewScale",
		"signals":{"gpu-utilization":{"value":93.5,"target":50,"recommended":4,"missing":0}}}]}`
	for _, c := range []struct {
		golden string
		args   []string
	}{
		{"get.golden", nil},
		{"get-all.golden", []string{"-A"}},
		{"get-one.golden", []string{"deployment/vision", "-o", "yaml"}},
		{"get-alone.golden", []string{"-A", "--controller-url="}},
		{"get-bystander.golden", []string{"bystander"}},
		{"get-empty.golden", []string{"-n", "elsewhere"}},
		{"get-empty-json.golden", []string{"-n", "elsewhere", "-o", "json"}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			api := newAPIServer(t)
			api.prometheus = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(decisions)) }
			args := append([]string{"get", "--controller-url=kube://monitoring/prometheus:9090", "--kubeconfig", api.kubeconfig}, c.args...)
			golden(t, c.golden, aged(invoke(t, "", args...).String()))
			if found := api.mutations(); len(found) > 0 {
				t.Errorf("requests that are no reads: %q", found)
			}
		})
	}
}
