package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/metrics/httpconfig"
)

// sourceFlags say where signals are read from.
type sourceFlags struct {
	url, httpConfig string
}

func (f *sourceFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "prometheus-url", "auto", "`URL` of Prometheus: http(s)://HOST:PORT/PATH; kube://NAMESPACE/SERVICE:PORT/PATH through the API server's service proxy;\n"+
		"auto to look for it among the cluster's Services; empty for none: only pods and NVML agents are read")
	flags.StringVar(&f.httpConfig, "prometheus-http-config", "", "`file` with credentials, TLS settings and headers for Prometheus, in the format of Prometheus' own HTTP client configuration")
}

// problems returns what is wrong with the flags.
func (f *sourceFlags) problems() []error {
	endpoint, err := metrics.ParseURL(f.url)
	switch {
	case err != nil:
		return []error{fmt.Errorf("--prometheus-url: %w", err)}
	case f.httpConfig != "" && endpoint.Kind != metrics.HTTPEndpoint:
		return []error{fmt.Errorf("--prometheus-http-config %s is for an http(s) URL, but --prometheus-url is %q: through the API server the kubeconfig's credentials are used", f.httpConfig, f.url)}
	}
	return nil
}

// auto reports whether Prometheus is to be found.
func (f *sourceFlags) auto() bool {
	endpoint, err := metrics.ParseURL(f.url)
	return err == nil && endpoint.Kind == metrics.AutoEndpoint
}

// source is where signals are read from.
type source struct {
	reader
	// name is for people: the URL, and how it was found.
	name string
	// sought reads in place of the reader as long as Prometheus is not found.
	sought *seeker
}

// open prepares reading from the Prometheus that the flags name. It asks the cluster only to find it.
func (f *sourceFlags) open(ctx context.Context, c *cluster, options metrics.Options) (*source, error) {
	endpoint, err := metrics.ParseURL(f.url)
	if err != nil {
		return nil, fmt.Errorf("--prometheus-url: %w", err)
	}
	switch endpoint.Kind {
	case metrics.NoEndpoint:
		return &source{name: "none: --prometheus-url is empty, pods and NVML agents are read"}, nil
	case metrics.AutoEndpoint:
		return discover(ctx, c, options)
	case metrics.KubeEndpoint:
		return throughCluster(c, endpoint, options)
	}
	options.URL = endpoint.BaseURL("")
	options.Transport, err = f.transport()
	if err != nil {
		return nil, err
	}
	return newSource(endpoint.String(), options)
}

// transport makes the transport to an http(s) URL.
func (f *sourceFlags) transport() (http.RoundTripper, error) {
	if f.httpConfig == "" {
		return http.DefaultTransport, nil
	}
	transport, err := httpconfig.Load(f.httpConfig)
	if err != nil {
		return nil, fmt.Errorf("--prometheus-http-config: %w", err)
	}
	return transport, nil
}

// throughCluster prepares reading through the API server's service proxy, with the caller's own rights.
func throughCluster(c *cluster, endpoint metrics.Endpoint, options metrics.Options) (*source, error) {
	// A limit on requests to the API server would count from the first byte; the reader has a limit of its own.
	config := rest.CopyConfig(c.config)
	config.Timeout = 0
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the way to %s through the API server: %w", endpoint, err)
	}
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the way to %s through the API server: %w", endpoint, err)
	}
	options.URL = endpoint.BaseURL(server.String())
	options.Transport = client.Transport
	options.GET = true
	options.Gzip = true // a laptop's way to the API server may be slow
	return newSource(endpoint.String(), options)
}

func newSource(name string, options metrics.Options) (*source, error) {
	prometheus, err := metrics.NewPrometheus(options)
	if err != nil {
		return nil, err
	}
	return &source{reader: reader{prometheus}, name: name}, nil
}

// readTimeout is how long a request for samples may take: three quarters of the interval, so that one that hangs is over before the next
// begins; the controller gives up a little later, so that the reader's words tell which server it was.
func readTimeout(interval time.Duration) time.Duration { return interval * 3 / 4 }

// prometheusOptions are what all ways to Prometheus have in common.
func prometheusOptions(interval, maxSampleAge time.Duration) metrics.Options {
	return metrics.Options{
		ClientOptions: metrics.ClientOptions{Timeout: readTimeout(interval)},
		MaxSampleAge:  maxSampleAge,
	}
}

// errNoPrometheus is the answer to every read where no Prometheus is configured.
var errNoPrometheus = errors.New("no Prometheus is configured: give --prometheus-url")
