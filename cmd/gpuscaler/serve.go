package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/draw"
	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// listen opens the address that a flag names, nil if it is empty.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serving at --%s %s: %w; another address can be given", flag, address, err)
	}
	return listener, nil
}

// listenSpare opens the address of --listen, or another port of this machine if it is taken. It is nil, and why says so, where even
// that is not to be had.
func listenSpare(ctx context.Context, address string) (listener net.Listener, why error) {
	listener, err := listen(ctx, "listen", address)
	if err != nil {
		listener, err = listen(ctx, "listen", "127.0.0.1:0")
	}
	return listener, err
}

// pageURL is where a browser on this machine finds what a listener serves.
func pageURL(listener net.Listener) string {
	address := listener.Addr().String()
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		address = net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
	}
	return "http://" + address + "/"
}

// drawChart draws a chart of the dashboard.
func drawChart(c chart.Chart, width int, dark bool) ([]byte, error) {
	theme := draw.Light
	if dark {
		theme = draw.Dark
	}
	return draw.SVG(c, width, theme)
}

// newRegistry makes a registry of metrics with those of every Go program.
func newRegistry() (prometheus.Registerer, prometheus.Gatherer) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry, registry
}

// serveWhile serves HTTP while a function runs, and stops it if serving fails. Without a listener it only calls the function.
func serveWhile(ctx context.Context, listener net.Listener, handler http.Handler, log logr.Logger, run func(context.Context) error) error {
	if listener == nil {
		return run(ctx)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		MaxHeaderBytes:    1 << 16,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelError),
	}
	log.Info("Serving", "address", listener.Addr().String())
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- server.Serve(listener)
	}()
	err := run(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(closing) != nil {
		_ = server.Close() // what is still being answered is cut off
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		return errors.Join(err, fmt.Errorf("serving at %s: %w", listener.Addr(), serveErr))
	}
	return err
}

// defaultLeaseNamespace is where the lease is if this is no pod: where deploy/ installs the controller.
const defaultLeaseNamespace = "gpuscaler-system"

// election prepares taking part in the election of a leader.
func (o *runOptions) election(c *cluster, plain, secure net.Listener) (*controller.LeaderElection, error) {
	client, err := controller.LeaseClientFor(c.config)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding a name for the lease: %w", err)
	}
	podIP := os.Getenv("POD_IP")
	return &controller.LeaderElection{
		Client: client, Namespace: o.leaseNamespace, Name: controller.LeaseName(o.controllerName),
		Identity: controller.Identity(host, reachableAt(plain, podIP), reachableAt(secure, podIP)),
	}, nil
}

// reachableAt is the address at which other processes reach a listener, empty if none can be told. One that listens on
// every address is reached at the pod's, else at the first of the host's own.
func reachableAt(listener net.Listener, podIP string) string {
	if listener == nil {
		return ""
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = cmp.Or(podIP, hostAddress())
	}
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, fmt.Sprint(address.Port))
}

// hostAddress is the first address of this host that others can reach, empty if there is none.
func hostAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	return ""
}
