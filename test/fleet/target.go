package fleet

import (
	"cmp"
	"net"
	"slices"
	"strconv"
)

// Sources of targets.
const (
	// SourceDCGM are the DCGM exporters, one per node.
	SourceDCGM = "dcgm"
	// SourceVLLM are the vLLM servers, one per pod that has loaded.
	SourceVLLM = "vllm"
	// SourceAgent are the NVML agents, one per agent's pod.
	SourceAgent = "nvml-agent"
	// SourceGateway are the gateways, one per namespace that has one.
	SourceGateway = "gateway"
)

// exporterPort is where dcgm-exporter listens.
const exporterPort = 9400

// Target is something to scrape.
type Target struct {
	// Addr is where it really listens, a loopback "host:port".
	Addr string
	// Node is the name of its node.
	Node string
	// Labels are those that a ServiceMonitor or PodMonitor attaches to its series.
	Labels map[string]string
}

// Targets returns what there is to scrape now.
func (f *Fleet) Targets(source string) []Target {
	f.mu.Lock()
	defer f.mu.Unlock()
	var targets []Target
	switch source {
	case SourceDCGM:
		for _, n := range f.nodes {
			targets = append(targets, n.exporter.target())
		}
	case SourceVLLM, SourceAgent:
		for _, run := range f.pods {
			if t, ok := run.target(source); ok {
				targets = append(targets, t)
			}
		}
	case SourceGateway:
		for _, g := range f.gateways {
			targets = append(targets, g.target())
		}
	}
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Labels["instance"], b.Labels["instance"]) })
	return targets
}

// publish tells the scraper all targets. One at a time, so that the last told are the newest.
func (f *Fleet) publish() {
	if f.opts.Scraper == nil {
		return
	}
	f.publishing.Lock()
	defer f.publishing.Unlock()
	for _, source := range []string{SourceDCGM, SourceVLLM, SourceAgent, SourceGateway} {
		f.opts.Scraper.SetTargets(source, f.Targets(source))
	}
}

// target is the exporter as the ServiceMonitor of its Helm chart finds it: the pod and the namespace are the exporter's.
func (e *exporter) target() Target {
	return Target{Addr: e.addr, Node: e.node.name, Labels: map[string]string{
		"instance": instance(e.node.exporterIP(), exporterPort), "container": "exporter", "endpoint": "metrics",
		"namespace": "gpu-operator", "pod": "dcgm-exporter-" + e.node.name, "service": "dcgm-exporter",
	}}
}

// target is the engine as a PodMonitor finds it; false if the pod has none of this source.
func (r *podRun) target(source string) (Target, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.engine == nil || r.engine.source != source {
		return Target{}, false
	}
	return Target{Addr: r.engine.addr, Node: r.node.name, Labels: map[string]string{
		"instance": instance(r.ip, r.engine.port), "container": r.engine.container, "endpoint": "http",
		"namespace": r.name.Namespace, "pod": r.name.Name,
	}}, true
}

func instance(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }
