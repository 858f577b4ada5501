package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// metric is what the adapter tells of pods, and of their sum.
const metric = "gpu_utilization"

// metricsAPI is an API of metrics.
type metricsAPI struct {
	group, version string
	// resource is what is asked for in the namespace.
	resource string
}

// The APIs that the adapter serves: metrics of each pod, and metrics that are of no pod.
var (
	podMetrics      = &metricsAPI{"custom.metrics.k8s.io", "v1beta2", "pods/*/" + metric}
	externalMetrics = &metricsAPI{"external.metrics.k8s.io", "v1beta1", metric}
)

// service is the name of the APIService.
func (m *metricsAPI) service() string { return m.version + "." + m.group }

// root is the path of the API, path that of the metric.
func (m *metricsAPI) root() string { return "/apis/" + m.group + "/" + m.version }

func (m *metricsAPI) path() string { return m.root() + "/namespaces/" + namespace + "/" + m.resource }

// adapterReady is what the role says when it is ready.
type adapterReady struct{ Addr string }

// adapterCommand sets values, or the fault.
type adapterCommand struct {
	// Values are by the label app of a Deployment's pods, then by pod.
	Values map[string]map[string]int `json:",omitempty"`
	Fault  *fault                    `json:",omitempty"`
}

// adapter serves the APIs at no cost: each answer is made when its values come, and only sent when it is asked for.
type adapter struct {
	listener net.Listener
	server   *http.Server
	tls      *tls.Config

	mu     sync.Mutex
	values map[string]map[string]int
	// answers are by API and label app.
	answers map[*metricsAPI]map[string][]byte
	fault   fault
	// healed is closed when the fault changes.
	healed chan struct{}
}

// runAdapter is the role.
func runAdapter(_ []string, in *json.Decoder, out *json.Encoder) error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	a := &adapter{
		tls:    &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		values: map[string]map[string]int{}, answers: map[*metricsAPI]map[string][]byte{podMetrics: {}, externalMetrics: {}}, healed: make(chan struct{}),
	}
	if err := a.listen("127.0.0.1:0"); err != nil {
		return err
	}
	addr := a.listener.Addr().String()
	if err := out.Encode(adapterReady{addr}); err != nil {
		return err
	}
	return obey(in, out, func(c adapterCommand) (bool, error) {
		if c.Fault != nil {
			return true, a.fail(*c.Fault, addr)
		}
		return false, a.set(c.Values)
	})
}

func (a *adapter) listen(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening for the API server: %w", err)
	}
	a.listener = listener
	a.server = &http.Server{Handler: a, TLSConfig: a.tls.Clone(), ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.ServeTLS(listener, "", "") }(a.server)
	return nil
}

// set takes new values of some Deployments.
func (a *adapter) set(values map[string]map[string]int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for app, pods := range values {
		a.values[app] = pods
		if err := a.renderLocked(app); err != nil {
			return err
		}
	}
	return nil
}

// fail changes the fault. Requests that hang are cut off.
func (a *adapter) fail(f fault, addr string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	closed := a.fault.Kind == refuses
	a.fault = f
	close(a.healed)
	a.healed = make(chan struct{})
	for app := range a.values {
		if err := a.renderLocked(app); err != nil {
			return err
		}
	}
	switch {
	case f.Kind == refuses && !closed:
		return a.server.Close()
	case f.Kind != refuses && closed:
		return a.listen(addr)
	}
	return nil
}

// renderLocked makes the answers for a Deployment.
func (a *adapter) renderLocked(app string) error {
	type reference struct {
		Kind       string `json:"kind"`
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
		APIVersion string `json:"apiVersion"`
	}
	type item struct {
		DescribedObject reference         `json:"describedObject"`
		Metric          map[string]string `json:"metric"`
		Timestamp       string            `json:"timestamp"`
		Value           string            `json:"value"`
	}
	type sum struct {
		Name      string            `json:"metricName"`
		Labels    map[string]string `json:"metricLabels"`
		Timestamp string            `json:"timestamp"`
		Value     string            `json:"value"`
	}
	items, sums, total, now := []item{}, []sum{}, 0, time.Now().UTC().Format(time.RFC3339)
	for pod, value := range a.values[app] {
		if a.fault.shows(pod) {
			items = append(items, item{
				reference{"Pod", namespace, pod, "v1"}, map[string]string{"name": metric}, now, fmt.Sprint(value),
			})
			total += value
		}
	}
	if len(items) > 0 {
		sums = append(sums, sum{metric, map[string]string{"app": app}, now, fmt.Sprint(total)})
	}
	return errors.Join(a.keepLocked(podMetrics, "MetricValueList", app, items), a.keepLocked(externalMetrics, "ExternalMetricValueList", app, sums))
}

func (a *adapter) keepLocked(api *metricsAPI, kind, app string, items any) error {
	text, err := json.Marshal(map[string]any{
		"kind": kind, "apiVersion": api.group + "/" + api.version, "metadata": map[string]any{}, "items": items,
	})
	a.answers[api][app] = text
	return err
}

// discovery says what there is in the API, to the aggregator and to those who look for the API.
func (m *metricsAPI) discovery() []byte {
	return []byte(`{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"` + m.group + "/" + m.version + `","resources":[` +
		`{"name":"` + strings.Replace(m.resource, "*/", "", 1) + `","singularName":"","namespaced":true,"kind":"MetricValueList","verbs":["get"]}]}`)
}

// ServeHTTP answers as the fault says.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, _ := strings.CutPrefix(r.URL.Query().Get("labelSelector"), "app=")
	a.mu.Lock()
	ofPods, external, kind, healed := a.answers[podMetrics][app], a.answers[externalMetrics][app], a.fault.Kind, a.healed
	a.mu.Unlock()
	if kind == hangs {
		select {
		case <-r.Context().Done():
		case <-healed:
		}
		panic(http.ErrAbortHandler) // no answer, not even an empty one
	}
	var answer []byte
	switch r.URL.Path {
	case podMetrics.root():
		answer = podMetrics.discovery()
	case externalMetrics.root():
		answer = externalMetrics.discovery()
	case podMetrics.path():
		answer = ofPods
	case externalMetrics.path():
		answer = external
	}
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// selfSigned makes a certificate that nobody checks.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the adapter's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{adapterService + "." + adapterNamespace + ".svc"},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the adapter's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, nil
}
