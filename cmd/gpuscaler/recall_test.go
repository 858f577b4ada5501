package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A controller whose port kubectl forwards is asked without the caller's credentials.
func TestForwardedController(t *testing.T) {
	api := newAPIServer(t)
	status := http.StatusOK
	controller := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the kubeconfig's token was sent")
		}
		if r.URL.Path != "/api/v1/workloads" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"workloads":[{"namespace":"team","name":"vision","current":2,"desired":4,"reason":"ReadyForNewScale"}]}`)
	}))
	defer controller.Close()
	args := []string{"get", "deployment/vision", "--controller-url", controller.URL + "/", "--kubeconfig", api.kubeconfig}
	if got := invoke(t, "", args...); got.code != 0 || !strings.Contains(got.out, "ReadyForNewScale") {
		t.Errorf("got:\n%v", got)
	}
	status = http.StatusServiceUnavailable
	if got := invoke(t, "", args...); got.code != 0 || !strings.Contains(got.err, "503 Service Unavailable") {
		t.Errorf("got:\n%v\nwant the controller's own words", got)
	}
}

// A port that wants TLS and a token is told from one that the API server does not let the caller reach.
func TestSecurePortThroughTheServiceProxy(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		body string
		want string
	}{
		"no TLS":                 {http.StatusBadRequest, "Client sent an HTTP request to an HTTPS server.\n", "--secure-listen"},
		"no token":               {http.StatusUnauthorized, "Unauthorized: a bearer token is required, as in Authorization: Bearer TOKEN\n", "kubectl port-forward"},
		"the API server refuses": {http.StatusUnauthorized, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`, "Unauthorized"},
		"no such port":           {http.StatusServiceUnavailable, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no service port 8080 found for service \"gpuscaler\"","reason":"ServiceUnavailable","code":503}`, "kubectl port-forward"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPIServer(t)
			api.prometheus = func(w http.ResponseWriter, _ *http.Request) {
				if strings.HasPrefix(c.body, "{") {
					w.Header().Set("Content-Type", "application/json")
				}
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.body)
			}
			got := invoke(t, "", "get", "--controller-url=kube://monitoring/prometheus:9090", "--kubeconfig", api.kubeconfig)
			if got.code != 0 || !strings.Contains(got.err, c.want) || strings.HasPrefix(c.body, "{") == strings.Contains(got.err, "--secure-listen") {
				t.Errorf("got:\n%v\nwant %s", got, c.want)
			}
		})
	}
}
