package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestDryRun runs the controller against an API server that would note any write.
func TestDryRun(t *testing.T) {
	api := newAPIServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var errOut strings.Builder
	code := make(chan int, 1)
	go func() {
		defer in.Close()
		code <- executeContext(ctx, []string{"gpuscaler", "run", "--dry-run", "--interval=100ms", "--kubeconfig", api.kubeconfig}, nil, in, &errOut)
	}()
	awaitText(t, out, "Dry run: nothing is written. Looking at all namespaces of context laptop, cluster fake, at "+api.URL)
	awaitText(t, out, "Prometheus: kube://monitoring/prometheus:9090 (found: ")
	awaitText(t, out, "which asks for 4 instead of 2")
	cancel()
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != 0 || errOut.String() != "" {
		t.Errorf("exit code %d after an interrupt, stderr %q", got, errOut.String())
	}
	if found := api.mutations(); len(found) > 0 {
		t.Errorf("requests that are no reads: %q", found)
	}
}

// TestRun runs the controller for real, as far as its first write, which the server refuses.
func TestRun(t *testing.T) {
	api := newAPIServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	log, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		defer in.Close()
		code <- executeContext(ctx, []string{
			"gpuscaler", "run", "--interval=100ms", "--kubeconfig", api.kubeconfig, "--listen=127.0.0.1:0", "--logging-format=json", "--watch-namespace=team",
		}, nil, io.Discard, in)
	}()
	awaitText(t, log, `"msg":"Starting"`)
	go func() { _, _ = io.Copy(io.Discard, log) }()
	patched := "PATCH /apis/apps/v1/namespaces/team/deployments/vision/scale"
	eventually(t, patched, func() bool { return strings.Contains(strings.Join(api.mutations(), "\n"), patched) })
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after an interrupt, want 0", got)
	}
	for _, m := range api.mutations() {
		if m != patched && !strings.HasSuffix(m, "/events") {
			t.Errorf("an unexpected write: %s", m)
		}
	}
}

// TestRunWithoutCluster wants a person to be told at once what a controller would wait for.
func TestDryRunWithoutCluster(t *testing.T) {
	api := newAPIServer(t)
	api.refuse("deployments", http.StatusForbidden)
	got := invoke(t, "", "run", "--dry-run", "--kubeconfig", api.kubeconfig)
	if got.code != 1 || !strings.Contains(got.err, "deploy/rbac/viewer") || !strings.Contains(got.out, "context laptop") {
		t.Errorf("got:\n%v", got)
	}
}
