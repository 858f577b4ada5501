package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// discover finds Prometheus among the Services of the cluster: it takes the best candidate that answers.
func discover(ctx context.Context, c *cluster, options metrics.Options) (*source, error) {
	services, err := listServices(ctx, c.client)
	if err != nil {
		return nil, err
	}
	candidates, err := metrics.Discover(services)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, candidate := range candidates {
		found, err := reach(c, candidate.Endpoint, options)
		if err == nil {
			err = probe(ctx, found)
		}
		if err == nil {
			found.name += fmt.Sprintf(" (found: %s)", candidate.Reason)
			return found, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failures = append(failures, fmt.Errorf("%s: %w", candidate.Endpoint, err))
	}
	return nil, fmt.Errorf("discovering Prometheus: none of the candidates answers; name it with --prometheus-url\n%w", errors.Join(failures...))
}

// reach prepares reading from a Service. A pod asks it directly, which needs no right; from elsewhere the way leads through the API
// server.
func reach(c *cluster, e metrics.Endpoint, options metrics.Options) (*source, error) {
	if !c.inCluster {
		return throughCluster(c, e, options)
	}
	options.URL = serviceURL(e)
	options.Transport = http.DefaultTransport
	return newSource(options.URL, options)
}

// serviceURL is where pods reach a Service.
func serviceURL(e metrics.Endpoint) string {
	return cmp.Or(e.Scheme, "http") + "://" + net.JoinHostPort(e.Service+"."+e.Namespace+".svc", e.Port) + e.Path
}

// probe reads a signal of a namespace that every cluster has: not for its value, but to see whether the server answers.
func probe(ctx context.Context, s *source) error {
	_, err := s.prometheus.Read(ctx, policy.GPUUtilization, []string{metav1.NamespaceDefault})
	return err
}

// listServices lists the Services of all namespaces.
func listServices(ctx context.Context, client kubernetes.Interface) ([]metrics.Service, error) {
	const page = 500
	var services []metrics.Service
	options := metav1.ListOptions{Limit: page}
	for {
		list, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, options)
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("looking for Prometheus: %w; name it with --prometheus-url, or grant what deploy/rbac/prometheus-discovery grants", err)
		}
		if err != nil {
			return nil, fmt.Errorf("looking for Prometheus: %w", err)
		}
		for i := range list.Items {
			services = append(services, serviceOf(&list.Items[i]))
		}
		if list.Continue == "" {
			return services, nil
		}
		options.Continue = list.Continue
	}
}

// serviceOf picks what metrics.Discover looks at.
func serviceOf(s *corev1.Service) metrics.Service {
	service := metrics.Service{Namespace: s.Namespace, Name: s.Name, Labels: s.Labels}
	for _, port := range s.Spec.Ports {
		service.Ports = append(service.Ports, metrics.ServicePort{Name: port.Name, Number: port.Port})
	}
	return service
}
