package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
)

// judgePrometheus judges Prometheus, and the signals as far as they are the same for all workloads.
func judgePrometheus(f *findings, facts *Facts) {
	p := &facts.Prometheus
	switch {
	case p.None:
		f.add(Info, Prometheus, "", "no Prometheus is configured: --prometheus-url is empty, so that only pods and NVML agents are read", "")
		return
	case p.Err != nil:
		f.add(Error, Prometheus, "", "Prometheus does not answer: "+oneLine(p.Err), "while it does not, nothing is scaled but into the bounds; name another with --prometheus-url")
		return
	}
	version := "; it does not tell its version"
	if p.Version != "" {
		version = ", version " + p.Version
	}
	f.add(OK, Prometheus, "", p.Name+" answers"+version, "")
	judgeSkew(f, PromClock, "Prometheus", p.Skew, p.Slack, "when a sample was taken is told by its clock")
	for i := range facts.Signals {
		judgeSignal(f, &facts.Signals[i])
	}
	judgeCadence(f, p, facts)
	if p.GPUPodsErr != nil {
		f.add(Info, NotChecked, "", oneLine(p.GPUPodsErr), "not checked: whether pods share GPUs")
	}
}

// judgeSignal judges the series of a signal.
func judgeSignal(f *findings, s *SignalFacts) {
	name := string(s.Signal)
	if s.Err != nil {
		f.add(Error, Series, name, "it could not be read: "+oneLine(s.Err), "nothing is lowered, and with no other signal nothing is raised, while this lasts")
		return
	}
	all, unnamed := s.Census.Series()
	if all == 0 {
		f.add(Error, Series, name, "none of its sources has a series: looked for "+sourcesOf(s.Signal), scrapeAdvice(name))
		return
	}
	var present []string
	for _, p := range s.Census.Present {
		present = append(present, fmt.Sprintf("%s (%d series)", p.Source, p.Series))
	}
	f.add(OK, Series, name, "found as "+strings.Join(present, ", "), "")
	judgeLabels(f, s, all, unnamed)
	for _, d := range s.Dropped {
		if d.Why != metrics.NoIdentity {
			f.add(Warning, Values, name, fmt.Sprintf("%s dropped: %s", count(d.Count, "sample"), d.Why), "look at them in Prometheus: a value that cannot be counts as missing")
		}
	}
	if s.HistoryErr != nil {
		f.add(Info, NotChecked, name, "its last hour could not be read: "+oneLine(s.HistoryErr), "not checked: whether it moves with the load")
	}
}

// judgeLabels judges whether series tell whose they are.
func judgeLabels(f *findings, s *SignalFacts, all, unnamed int) {
	name := string(s.Signal)
	switch {
	case unnamed == all:
		f.add(Error, Labels, name, fmt.Sprintf("none of its %d series names a namespace and a pod", all), labelAdvice(name))
	case unnamed > 0:
		f.add(Info, Labels, name, fmt.Sprintf("%d of %d series name no namespace or no pod", unnamed, all), "that is so for GPUs that no pod has")
	}
	for _, ns := range slices.Sorted(maps.Keys(s.Strangers)) {
		f.add(Info, Labels, name, fmt.Sprintf("series name %s of namespace %s that are not there (any more)", count(s.Strangers[ns], "pod"), ns),
			"pods that have just ended are no matter; if it stays, look whose labels the scrape configuration attaches")
	}
}

// labelAdvice says how series come to name their pod.
func labelAdvice(signal string) string {
	if strings.HasPrefix(signal, "gpu-") {
		return "run dcgm-exporter with DCGM_EXPORTER_KUBERNETES=true and with /var/lib/kubelet/pod-resources mounted"
	}
	return "scrape the pods with a PodMonitor or with kubernetes_sd_configs, and keep the labels namespace and pod"
}

// scrapeAdvice says how a signal gets a series.
func scrapeAdvice(signal string) string {
	if strings.HasPrefix(signal, "gpu-") {
		return "install dcgm-exporter and let Prometheus scrape it (a ServiceMonitor, port 9400)"
	}
	return "let Prometheus scrape the inference server's /metrics (a PodMonitor); SGLang, TensorRT-LLM and llama.cpp export metrics only if told to"
}

// slowCadence is an interval of DCGM's that is felt.
const slowCadence = 10 * time.Second

// judgeCadence tells how old DCGM's readings are beside what Prometheus knows.
func judgeCadence(f *findings, p *PrometheusFacts, facts *Facts) {
	const advice = "set DCGM_EXPORTER_INTERVAL (milliseconds) to 5000 or less: that age comes on top of the one that Prometheus knows, and no one sees it"
	switch {
	case !usesDCGM(facts):
	case p.CadenceErr != nil:
		f.add(Info, NotChecked, "", oneLine(p.CadenceErr), "not checked: DCGM's interval, which is 30 s unless set")
	case p.Cadence.Change == 0:
		f.add(Info, DCGMInterval, "", "how often DCGM reads the GPUs cannot be told yet from what Prometheus has", "unless DCGM_EXPORTER_INTERVAL is set it is each 30 s, and that age is invisible to Prometheus")
	case p.Cadence.Change >= slowCadence && p.Cadence.Change > p.Cadence.Scrape*3/2:
		f.add(Info, DCGMInterval, "", fmt.Sprintf("DCGM's values change each %v, though Prometheus scrapes each %v", p.Cadence.Change, p.Cadence.Scrape), advice)
	case p.Cadence.Change > 2*slowCadence:
		f.add(Info, DCGMInterval, "", fmt.Sprintf("DCGM's values change each %v, and Prometheus scrapes each %v", p.Cadence.Change, p.Cadence.Scrape), "scrape more often, and "+advice)
	default:
		f.add(OK, DCGMInterval, "", fmt.Sprintf("DCGM's values change about each %v, and Prometheus scrapes each %v", p.Cadence.Change, p.Cadence.Scrape), "")
	}
}

// usesDCGM reports whether any signal comes from DCGM.
func usesDCGM(facts *Facts) bool {
	for i := range facts.Signals {
		for _, p := range facts.Signals[i].Census.Present {
			if strings.HasPrefix(p.Source, "DCGM_") {
				return true
			}
		}
	}
	return false
}
