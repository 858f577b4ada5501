package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/sampler"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// agentOptions are the flags of the agent.
type agentOptions struct {
	*globals
	listen  string
	kubelet string
	logs    string
}

func (o *agentOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.listen, "listen", ":9401", "address to serve /metrics and /healthz at")
	flags.StringVar(&o.kubelet, "pod-resources-socket", "/var/lib/kubelet/pod-resources/kubelet.sock",
		"socket at which the kubelet tells which pods hold which devices")
	flags.StringVar(&o.logs, "pod-logs", "/var/log/pods",
		"folder in which the kubelet keeps the logs of each pod, of which only the folders' names are read: "+
			"they tell the pods of processes that share a GPU")
}

// run is the agent, until the context ends.
func (o *agentOptions) run(ctx context.Context, errOut io.Writer) error {
	log := o.log.Logger(errOut, o.log.Level())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("serving at --listen %s: %w; another address can be given", o.listen, err)
	}
	failures := newFailures()
	kubelet, err := pods.NewKubelet(o.kubelet, kubeletReport(log, failures))
	if err != nil {
		return err
	}
	processes := pods.NewProcesses(o.proc, o.logs)
	if why := processes.Unseen(); why != nil {
		log.Info("Pods that share a GPU have no series of their own", "because", why.Error())
	}
	s := sampler.New(sampler.Options{
		Open:      func() (nvml.Library, error) { return nvml.Open(o.library) },
		Holders:   kubelet.Holders,
		Processes: processes,
		Failed:    failures.count,
		Log:       log,
	})
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { kubelet.Run(ctx) })
	running.Go(func() { s.Run(ctx) })
	return serve(ctx, listener, handler(s, failures, log), log)
}

// kubeletReport counts what goes wrong at the kubelet and logs it when it changes.
func kubeletReport(log logr.Logger, failures *failures) pods.Report {
	said := ""
	return func(err error, unknown []string) {
		now := ""
		switch {
		case err != nil:
			now = err.Error()
			failures.count(callPodResources, pods.Reason(err))
		case len(unknown) > 0:
			now = fmt.Sprintf("%q", unknown)
			failures.count(callPodResources, "unknown_device_id")
		}
		if now == said {
			return
		}
		said = now
		switch {
		case err != nil:
			log.Error(err, "No pod is known to hold a GPU until the kubelet answers; what it said last counts for 5 s")
		case len(unknown) > 0:
			log.Info("The kubelet names devices that are not understood: their pods have no series", "ids", unknown)
		default:
			log.Info("The kubelet tells which pods hold which GPUs")
		}
	}
}

// handler serves what the sampler knows.
func handler(s source, failures *failures, log logr.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{source: s}, failures.counter)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: errorLog{log}, MaxRequestsInFlight: 8, Timeout: 10 * time.Second,
	}))
	// It lives while it answers: a driver that is missing or hangs is told by the metrics, and no restart mends it.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}

// errorLog has promhttp log into our log.
type errorLog struct{ log logr.Logger }

// Println logs a line.
func (l errorLog) Println(v ...any) { l.log.Info("Serving /metrics", "problem", fmt.Sprint(v...)) }

// serve serves HTTP until the context ends.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log logr.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		MaxHeaderBytes:    1 << 16,
	}
	log.Info("Serving", "address", listener.Addr().String(), "version", version)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(closing) != nil {
			_ = server.Close() // what is still being answered is cut off
		}
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving at %s: %w", listener.Addr(), err)
	}
	<-closed // Serve returns before what is being answered is
	log.Info("Stopped")
	return nil
}
