package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Errors of Discover.
var (
	// ErrNotFound: no Service of the cluster looks like a Prometheus.
	ErrNotFound = errors.New("no Prometheus found")
	// ErrAmbiguous: several do, and nothing tells which one is meant.
	ErrAmbiguous = errors.New("several Prometheus servers found")
)

// Service is what Discover needs to know of a Kubernetes Service.
type Service struct {
	Namespace, Name string
	Labels          map[string]string
	Ports           []ServicePort
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name   string
	Number int32
}

// Candidate is a Service that looks like a Prometheus.
type Candidate struct {
	Endpoint Endpoint
	// Reason says what it was recognised by.
	Reason string
	rank   int
}

// kinship recognises one way in which Prometheus, or something that answers like it, is installed.
type kinship struct {
	reason string
	match  func(Service) bool
	ports  []string // names or numbers, best first
	path   string
}

// kinships are in order of preference: first the ones that are one server beside its data, then those that ask
// others.
var kinships = []kinship{
	{
		reason: "kube-prometheus-stack's Service",
		match: func(s Service) bool {
			return s.Labels["app"] == "kube-prometheus-stack-prometheus" ||
				strings.HasSuffix(s.Name, "kube-prometheus-stack-prometheus") ||
				strings.HasSuffix(s.Name, "-kube-prometheus-prometheus") || strings.HasSuffix(s.Name, "-kube-promethe-prometheus")
		},
		ports: []string{"http-web", "web", "9090"},
	},
	{
		reason: "the Prometheus Operator's governing Service",
		match: func(s Service) bool {
			return s.Name == "prometheus-operated" || s.Labels["operated-prometheus"] == "true"
		},
		ports: []string{"http-web", "web", "9090"},
	},
	{
		reason: "the Prometheus chart's server",
		match: func(s Service) bool {
			return strings.HasSuffix(s.Name, "prometheus-server") ||
				s.Labels["app.kubernetes.io/name"] == "prometheus" && s.Labels["app.kubernetes.io/component"] == "server"
		},
		ports: []string{"http", "http-web", "web", "80", "9090"},
	},
	{
		reason: "kube-prometheus' or OpenShift's Service",
		match:  func(s Service) bool { return s.Name == "prometheus-k8s" },
		ports:  []string{"web", "9090", "9091"},
	},
	{
		reason: "label app.kubernetes.io/name=prometheus",
		match: func(s Service) bool {
			return s.Labels["app.kubernetes.io/name"] == "prometheus" || s.Name == "prometheus"
		},
		ports: []string{"http-web", "web", "http", "9090", "80"},
	},
	{
		reason: "Thanos' querier",
		match: func(s Service) bool {
			return hasAnySuffix(s.Name, "thanos-query", "thanos-querier", "thanos-query-frontend") ||
				strings.HasPrefix(s.Labels["app.kubernetes.io/name"], "thanos-quer")
		},
		ports: []string{"http", "http-query", "web", "9090", "10902", "9091"},
	},
	{
		reason: "VictoriaMetrics, single node",
		match: func(s Service) bool {
			return strings.HasPrefix(s.Name, "vmsingle") || hasAnySuffix(s.Name, "victoria-metrics-single-server") ||
				s.Labels["app.kubernetes.io/name"] == "vmsingle"
		},
		ports: []string{"http", "8428", "8429"},
	},
	{
		reason: "VictoriaMetrics, vmselect of tenant 0",
		match: func(s Service) bool {
			return strings.HasPrefix(s.Name, "vmselect") || hasAnySuffix(s.Name, "-vmselect") ||
				s.Labels["app.kubernetes.io/name"] == "vmselect"
		},
		ports: []string{"http", "8481"},
		path:  "/select/0/prometheus",
	},
}

// strangers are parts of the same stacks that carry similar names and answer no query.
var strangers = []string{
	"alertmanager", "pushgateway", "node-exporter", "operator-webhook", "adapter", "kube-state-metrics", "blackbox",
	"thanos-discovery", "thanos-sidecar", "prometheus-operator",
}

func hasAnySuffix(name string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// Discover picks the Services that look like a Prometheus, best first: the caller probes them in this order. It
// returns ErrNotFound, or ErrAmbiguous together with the candidates when the best two are equally good: scaling on
// the wrong cluster's or team's metrics would be worse than not starting.
func Discover(services []Service) ([]Candidate, error) {
	var found []Candidate
	for _, s := range services {
		if c, ok := recognise(s); ok {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Endpoint.String(), b.Endpoint.String()))
	})
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("discovering Prometheus: %w among %d Services; name it with "+
			"--prometheus-url kube://NAMESPACE/SERVICE:PORT, or do without: --prometheus-url \"\" reads pods and NVML agents only", ErrNotFound, len(services))
	case len(found) > 1 && found[0].rank == found[1].rank:
		return found, fmt.Errorf("discovering Prometheus: %w: %s; choose one with --prometheus-url",
			ErrAmbiguous, equals(found))
	}
	return found, nil
}

// equals lists the candidates that are as good as the first.
func equals(found []Candidate) string {
	var urls []string
	for _, c := range found {
		if c.rank == found[0].rank {
			urls = append(urls, c.Endpoint.String())
		}
	}
	return strings.Join(urls, ", ")
}

func recognise(s Service) (Candidate, bool) {
	if slices.ContainsFunc(strangers, func(word string) bool { return strings.Contains(s.Name, word) }) {
		return Candidate{}, false
	}
	for rank, k := range kinships {
		if !k.match(s) {
			continue
		}
		port, ok := pickPort(s.Ports, k.ports)
		if !ok {
			continue
		}
		e := Endpoint{
			Kind: KubeEndpoint, Namespace: s.Namespace, Service: s.Name, Scheme: schemeOf(port),
			Port: strconv.Itoa(int(port.Number)), Path: k.path,
		}
		return Candidate{Endpoint: e, Reason: k.reason, rank: rank}, true
	}
	return Candidate{}, false
}

// pickPort takes the first of the wanted ports, or the only one there is.
func pickPort(ports []ServicePort, wanted []string) (ServicePort, bool) {
	for _, want := range wanted {
		for _, p := range ports {
			if p.Name == want || strconv.Itoa(int(p.Number)) == want {
				return p, true
			}
		}
	}
	if len(ports) == 1 {
		return ports[0], true
	}
	return ServicePort{}, false
}

// schemeOf guesses TLS: by the port's name, or because OpenShift serves 9091 with TLS only. The API server speaks
// plain HTTP to a Service unless it is told otherwise.
func schemeOf(p ServicePort) string {
	if strings.Contains(p.Name, "https") || p.Number == 443 || p.Number == 8443 || p.Number == 9091 {
		return "https"
	}
	return ""
}
