package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// TestSeek wants a Prometheus that comes later to be found, and every read until then to say why there is none.
func TestSeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var told []string
		log := funcr.New(func(_, args string) { told = append(told, args) }, funcr.Options{})
		var looks atomic.Int64
		look := func(context.Context) (*source, error) {
			if looks.Add(1) < 4 {
				return nil, errors.New("none among 3 Services")
			}
			return &source{name: "http://found"}, nil
		}
		k := seek(ctx, look, nil, log)
		_, byName := k.Read(ctx, policy.GPUUtilization, nil)
		_, times := k.ReadTimes(ctx, policy.GPUUtilization, nil)
		_, query := k.ReadQuery(ctx, "slots", "team", "llm")
		for _, err := range []error{byName, times, query} {
			if err == nil || !strings.Contains(err.Error(), "none among 3 Services") {
				t.Errorf("before: %v", err)
			}
		}
		time.Sleep(3*seekEvery - time.Second)
		synctest.Wait()
		if looks.Load() != 3 || k.found.Load() != nil {
			t.Errorf("%d looks before the third minute is over", looks.Load())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s, err := k.prometheus(); err != nil || s.name != "http://found" {
			t.Errorf("after: %v, %v", s, err)
		}
		if _, err := k.Read(ctx, policy.GPUUtilization, nil); !errors.Is(err, errNoPrometheus) {
			t.Errorf("it does not read from what was found: %v", err)
		}
		time.Sleep(10 * seekEvery)
		synctest.Wait()
		if looks.Load() != 4 || len(told) != 2 || !strings.Contains(told[0], "--prometheus-url") || !strings.Contains(told[1], "http://found") {
			t.Errorf("%d looks, told %q", looks.Load(), told)
		}
	})
}

// TestRunWithoutPrometheus wants the controller to come up and keep to the bounds where there is no Prometheus, and to say what to do.
func TestRunWithoutPrometheus(t *testing.T) {
	api := newAPIServer(t)
	api.prometheus = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Sign in</html>") }
	ctx, cancel := context.WithCancel(t.Context())
	log, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		defer in.Close()
		code <- executeContext(ctx, []string{
			"gpuscaler", "run", "--interval=100ms", "--kubeconfig", api.kubeconfig, "--listen=127.0.0.1:0", "--watch-namespace=team", "--prometheus-url=auto",
		}, nil, io.Discard, in)
	}()
	awaitText(t, log, "name it with --prometheus-url")
	awaitText(t, log, "none found yet")
	go func() { _, _ = io.Copy(io.Discard, log) }()
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after an interrupt, want 0", got)
	}
}

// TestReach wants a pod to ask a Service directly and everybody else through the API server.
func TestReach(t *testing.T) {
	for url, want := range map[string]string{
		"kube://monitoring/prometheus:9090":         "http://prometheus.monitoring.svc:9090",
		"kube://m/https:thanos:web/select/0":        "https://thanos.m.svc:web/select/0",
		"kube://monitoring/http:prometheus:80/path": "http://prometheus.monitoring.svc:80/path",
	} {
		e, err := metrics.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := serviceURL(e); got != want {
			t.Errorf("%s is reached at %s, want %s", url, got, want)
		}
	}
	api := newAPIServer(t)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = discover(t.Context(), &cluster{client: client, inCluster: true}, prometheusOptions(time.Second, time.Minute))
	if err == nil || !strings.Contains(err.Error(), "http://prometheus.monitoring.svc:9090") {
		t.Errorf("from a pod: %v", err)
	}
}
