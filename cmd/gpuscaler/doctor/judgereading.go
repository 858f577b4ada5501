package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// judgeReading judges what one signal says about a workload now.
func judgeReading(f *findings, w *WorkloadFacts, r *ReadingFacts, facts *Facts) {
	if r.Sampled == 0 && facts.Prometheus.Err != nil {
		return // told once
	}
	if r.Custom != "" {
		judgeQuery(f, w, r, facts)
		return
	}
	if r.Err != nil || !w.PodsKnown {
		return // told once for all workloads
	}
	name := string(r.Signal)
	source := ""
	if len(r.Sources) > 0 {
		source = " from " + strings.Join(r.Sources, ", ")
	}
	switch {
	case w.Ready == 0:
		f.add(Info, Samples, name, "no pod is ready: there is nothing to read", "")
	case r.Sampled == 0 && facts.Prometheus.None && w.Direct != nil && w.Direct.Problem == "" && slices.Contains(counted, r.Signal):
		f.add(Info, NotChecked, name, "it is told by how a count grows: one look at the pods cannot tell it", "")
	case r.Sampled == 0:
		f.add(Error, Samples, name, fmt.Sprintf("0 of %s samples", have(w.Ready)), missingAdvice(w, r, facts))
	case r.Sampled < w.Ready:
		f.add(Warning, Samples, name, fmt.Sprintf("%d of %s samples%s", r.Sampled, have(w.Ready), source),
			"look whether all nodes and pods are scraped: below half nothing is lowered")
	default:
		f.add(OK, Samples, name, fmt.Sprintf("%d of %s samples%s, %s on average", r.Sampled, have(w.Ready), source, number(r.Value)), "")
	}
	judgeAges(f, r, facts.MaxSampleAge)
}

// have says of how many ready pods.
func have(n int) string {
	if n == 1 {
		return "1 ready pod has"
	}
	return fmt.Sprintf("%d ready pods have", n)
}

// missingAdvice says why no pod of a workload may have samples.
func missingAdvice(w *WorkloadFacts, r *ReadingFacts, facts *Facts) string {
	if facts.Prometheus.None {
		return directAdvice(w, r)
	}
	for i := range facts.Signals {
		s := &facts.Signals[i]
		if s.Signal != r.Signal {
			continue
		}
		all, unnamed := s.Census.Series()
		switch {
		case (w.MIG || w.MIGPods > 0) && r.Signal == policy.GPUUtilization:
			return "in MIG mode there is no DCGM_FI_DEV_GPU_UTIL: export DCGM_FI_PROF_GR_ENGINE_ACTIVE"
		case all == 0:
			return scrapeAdvice(string(r.Signal))
		case unnamed == all:
			return labelAdvice(string(r.Signal))
		case s.Strangers[w.Namespace] > 0:
			return fmt.Sprintf("the series of namespace %s name pods that are not there: look whose labels the scrape configuration attaches", w.Namespace)
		case r.Late > 0:
			return "its samples are too old: look at the scrape interval, or raise --max-sample-age"
		}
	}
	return "the series that there are name other namespaces or pods: look whether its pods are scraped, and with which labels"
}

// directAdvice says how a signal is read without Prometheus.
func directAdvice(w *WorkloadFacts, r *ReadingFacts) string {
	switch {
	case w.Direct != nil && w.Direct.Problem != "":
		return "nothing is lowered until they answer"
	case strings.HasPrefix(string(r.Signal), "gpu-"):
		return "install the NVML agent (deploy/nvml-agent), or say where it is by --nvml-agent-namespace, or give --prometheus-url"
	case w.Spec.Scrape.Port == 0:
		return "say where the pods serve their metrics with gpuscaler.io/scrape, as in \"8000/metrics\", or give --prometheus-url"
	}
	return "its pods answer and do not have it: look at their page for one of " + sourcesOf(r.Signal)
}

// judgeAges judges how old the samples are.
func judgeAges(f *findings, r *ReadingFacts, limit time.Duration) {
	name, oldest := string(r.Signal), r.Oldest.Round(time.Second)
	switch {
	case !r.Dated:
	case r.Late > 0:
		f.add(Warning, SampleAge, name, fmt.Sprintf("the samples of %s are older than --max-sample-age %v and count as missing; the oldest is %v old", count(r.Late, "pod"), limit, oldest),
			"look whether these pods are scraped, or raise --max-sample-age above two scrape intervals")
	case r.Oldest > limit/2:
		f.add(Warning, SampleAge, name, fmt.Sprintf("the oldest sample is %v old, and from %v on it is missing", oldest, limit),
			"scrape more often, or raise --max-sample-age: one failed scrape makes it missing")
	default:
		f.add(OK, SampleAge, name, fmt.Sprintf("the oldest sample is %v old, of %v allowed", oldest, limit), "")
	}
}

// judgeQuery judges a custom signal.
func judgeQuery(f *findings, w *WorkloadFacts, r *ReadingFacts, facts *Facts) {
	name := string(r.Signal)
	advice := "run the query by hand with this namespace and Deployment"
	switch {
	case facts.Prometheus.None:
		f.add(Error, CustomQuery, name, fmt.Sprintf("query %q needs Prometheus, and none is configured", r.Custom), "give --prometheus-url")
	case r.Err != nil:
		f.add(Error, CustomQuery, name, fmt.Sprintf("query %q could not be read: %s", r.Custom, oneLine(r.Err)), "correct it in the file of --queries")
	case r.Workload:
		f.add(OK, CustomQuery, name, fmt.Sprintf("query %q answers %s", r.Custom, number(r.Value)), "")
	case r.Sampled == 0 && w.Ready == 0:
		f.add(Info, CustomQuery, name, fmt.Sprintf("query %q has no sample, and no pod is ready", r.Custom), "")
	case r.Sampled == 0:
		f.add(Error, CustomQuery, name, fmt.Sprintf("query %q has no sample for any of the %s", r.Custom, count(w.Ready, "ready pod")), advice)
	case r.Sampled < w.Ready:
		f.add(Warning, CustomQuery, name, fmt.Sprintf("query %q: %d of %s samples", r.Custom, r.Sampled, have(w.Ready)), advice)
	default:
		f.add(OK, CustomQuery, name, fmt.Sprintf("query %q: %d of %s samples, %s on average", r.Custom, r.Sampled, have(w.Ready), number(r.Value)), "")
	}
}

// judgeSharing judges GPUs that are divided or shared.
func judgeSharing(f *findings, w *WorkloadFacts) {
	uses := func(s policy.Signal) bool {
		for i := range w.Readings {
			if w.Readings[i].Signal == s {
				return true
			}
		}
		return false
	}
	if w.Shared > 0 {
		severity, advice := Info, ""
		if uses(policy.GPUUtilization) || uses(policy.GPUMemory) {
			severity, advice = Warning, "each of them reads the load of all: use a signal of the engine, such as running-requests or queue-depth"
		}
		f.add(severity, SharedGPUs, "", fmt.Sprintf("%s a GPU with others, up to %d pods on one (time slicing or MPS)", sharing(w.Shared), w.Sharers), advice)
	}
	if (w.MIG || w.MIGPods > 0) && uses(policy.GPUUtilization) {
		f.add(Info, MIG, string(policy.GPUUtilization), "its pods have parts of GPUs (MIG): DCGM_FI_DEV_GPU_UTIL does not exist there",
			"DCGM_FI_PROF_GR_ENGINE_ACTIVE is read in its place: see that dcgm-exporter exports it")
	}
}

func sharing(n int) string {
	if n == 1 {
		return "1 of its pods shares"
	}
	return fmt.Sprintf("%d of its pods share", n)
}
