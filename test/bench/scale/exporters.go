package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// exporters are dcgm-exporters that serve one field, DCGM_FI_DEV_GPU_UTIL. Five nodes share one, to spare Prometheus, which is not
// what is measured, four of five connections.
type exporters struct {
	server *http.Server
	addr   string
	// lines of each exporter's page up to the value, and of which Deployment they are.
	pages [][]line
	// load is the utilization of each Deployment's GPUs in percent.
	load []atomic.Int64
}

type line struct {
	text       string
	deployment int
}

const (
	deploymentsPerExporter = 5 * deploymentsPerNode
	header                 = "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).\n# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n"
)

// startExporters serves the pages of the cluster's exporters.
func startExporters(deployments int) (*exporters, error) {
	e := &exporters{load: make([]atomic.Int64, deployments), pages: make([][]line, (deployments+deploymentsPerExporter-1)/deploymentsPerExporter)}
	for d := range deployments {
		page := &e.pages[d/deploymentsPerExporter]
		for p := range podsEach {
			*page = append(*page, line{series(d, p), d})
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving the exporters: %w", err)
	}
	e.addr = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{exporter}/metrics", e.serve)
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = e.server.Serve(listener) }()
	return e, nil
}

// series is the one of a pod's GPU, as dcgm-exporter writes it.
func series(d, p int) string {
	gpu := d%deploymentsPerNode*podsEach + p
	return fmt.Sprintf(`DCGM_FI_DEV_GPU_UTIL{gpu="%d",UUID="GPU-%08x-%04x-4c1d-9e2f-0123456789ab",pci_bus_id="00000000:%02X:00.0",device="nvidia%d",`+
		`modelName="NVIDIA H100 80GB HBM3",Hostname="%s",DCGM_FI_DRIVER_VERSION="580.105.08",container="server",namespace="%s",pod="%s"} `,
		gpu, d, p, 0x18+gpu, gpu, nodeName(d), namespaceName(d), podName(d, p))
}

// serve writes one exporter's page.
func (e *exporters) serve(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(r.PathValue("exporter"))
	if err != nil || i < 0 || i >= len(e.pages) {
		http.NotFound(w, r)
		return
	}
	text := []byte(header)
	for _, l := range e.pages[i] {
		text = append(text, l.text...)
		text = strconv.AppendInt(text, e.load[l.deployment].Load(), 10)
		text = append(text, '\n')
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(text)
}

// targets are how Prometheus finds them: with the labels of the exporter's own pod, as the ServiceMonitor of its Helm chart gives them.
func (e *exporters) targets() []fleet.Target {
	list := make([]fleet.Target, len(e.pages))
	for i := range list {
		node := nodeName(i * deploymentsPerExporter)
		list[i] = fleet.Target{Addr: e.addr, Node: node, Labels: map[string]string{
			"__metrics_path__": fmt.Sprintf("/%d/metrics", i),
			"instance":         nodeIP(i*deploymentsPerExporter) + ":9400", "container": "exporter", "endpoint": "metrics",
			"namespace": "gpu-operator", "pod": "dcgm-exporter-" + node, "service": "dcgm-exporter",
		}}
	}
	return list
}

// set sets the load of some Deployments, from one on.
func (e *exporters) set(from, n int, percent int64) {
	for d := from; d < from+n; d++ {
		e.load[d].Store(percent)
	}
}

func (e *exporters) stop() { _ = e.server.Close() }
