package metrics

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// TestBuildInfo asks by GET, whatever queries are asked by, and believes no page that is something else.
func TestBuildInfo(t *testing.T) {
	for _, c := range []struct {
		name              string
		status            int
		contentType, body string
		want              string
		kind              error
	}{
		{"Prometheus", http.StatusOK, "application/json", `{"status":"success","data":{"version":"3.16.0","revision":"x"}}`, "3.16.0", nil},
		{"one that does not know it", http.StatusNotFound, "text/plain", "404 page not found", "", ErrRefused},
		{"a login page", http.StatusOK, "text/html", "<html>", "", ErrMalformed},
		{"no version", http.StatusOK, "application/json", `{"status":"success","data":{}}`, "", ErrMalformed},
		{"no JSON", http.StatusOK, "application/json", `{"status":`, "", ErrMalformed},
		{"endless", http.StatusOK, "application/json", `{"status":"` + strings.Repeat("x", maxBuildInfo), "", ErrMalformed},
	} {
		p := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/api/v1/status/buildinfo" {
				t.Errorf("%s: %s %s", c.name, r.Method, r.URL.Path)
			}
			answer(w, c.status, c.contentType, c.body)
		})
		info, err := p.BuildInfo(t.Context())
		if info.Version != c.want || !errors.Is(err, c.kind) || (err == nil) != (c.kind == nil) {
			t.Errorf("%s: got %q, %v, want %q, %v", c.name, info.Version, err, c.want, c.kind)
		}
	}
}

// TestInspectRefused returns what is refused as an error, and knows no custom signal.
func TestInspectRefused(t *testing.T) {
	p := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) })
	_, census := p.Census(t.Context(), policy.GPUUtilization)
	_, pods := p.GPUPods(t.Context(), []string{"ml"})
	_, cadence := p.Cadence(t.Context())
	_, clock := p.Clock(t.Context())
	for what, err := range map[string]error{"counting the series": census, "share": pods, "how often DCGM": cadence, "the time": clock} {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := p.Census(t.Context(), "custom"); !errors.Is(err, ErrNoSource) {
		t.Errorf("a custom signal: got %v", err)
	}
}
