package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// directRead is what the pods and agents of one workload said.
type directRead struct {
	controller.DirectReadings
	from controller.DirectTarget
}

// readDirect reads the pods and agents of all workloads that have any to be read; of the others the result is empty.
func readDirect(ctx context.Context, o *Options, found *objects, workloads []WorkloadFacts) []directRead {
	reads := make([]directRead, len(workloads))
	now := time.Now()
	few(len(workloads), atOnce, func(i int) {
		r := &reads[i]
		if r.from = found.directTarget(&workloads[i]); len(r.from.Pods) > 0 && o.Direct != nil {
			r.DirectReadings = o.Direct.ReadDirect(ctx, now, r.from)
		}
	})
	return reads
}

// directTarget lists what is to be read of a workload past Prometheus.
func (f *objects) directTarget(w *WorkloadFacts) controller.DirectTarget {
	t := controller.DirectTarget{Namespace: w.Namespace, Name: w.Name}
	if w.Spec == nil || !w.OptedIn {
		return t
	}
	t.Scrape = w.Spec.Scrape
	for i := range w.Readings {
		if w.Readings[i].Custom == "" {
			t.Signals = append(t.Signals, w.Readings[i].Signal)
		}
	}
	for _, p := range f.living[w.NamespacedName] {
		if agent := f.agents[p.node]; p.ready && p.ip.IsValid() && (t.Scrape.Port != 0 || agent.IsValid()) {
			t.Pods = append(t.Pods, controller.DirectPod{Name: p.Name, IP: p.ip, Agent: agent})
		}
	}
	return t
}

// handOutDirect gives each workload what its pods and agents said. For a signal it takes the place of what Prometheus has if it covers as
// many pods: it is younger.
func handOutDirect(reads []directRead, workloads []WorkloadFacts) {
	for i := range reads {
		r, w := &reads[i], &workloads[i]
		if len(r.Signals) == 0 {
			continue
		}
		w.Direct = &DirectFacts{r.Pods, r.Agents, r.Problem}
		for j, signal := range r.from.Signals {
			k := slices.IndexFunc(w.Readings, func(f ReadingFacts) bool { return f.Signal == signal })
			w.Readings[k].direct(r, j)
		}
	}
}

// direct takes over what pods and agents say of the j-th signal.
func (r *ReadingFacts) direct(read *directRead, j int) {
	sampled, sum, source := 0, 0.0, ""
	for _, pod := range read.from.Pods {
		sample, metric := read.Signals[j].Pod(read.from.Namespace, pod.Name)
		if !sample.OK {
			continue
		}
		sampled++
		sum += sample.Value
		if source = metric + " (pods)"; read.FromAgent(j, read.from.Namespace, pod.Name) {
			source = metric + " (NVML agents)"
		}
	}
	if sampled == 0 || sampled < r.Sampled {
		return
	}
	r.Sampled, r.Value, r.Sources, r.Err = sampled, sum/float64(sampled), []string{source}, nil
	r.Oldest, r.Late, r.Dated = 0, 0, false
}

// judgeDirect judges whether pods and agents answer. Outside of the cluster nobody expects them to.
func judgeDirect(f *findings, w *WorkloadFacts, facts *Facts) {
	d := w.Direct
	if d == nil {
		return
	}
	severity, where := Warning, "look at the pods, and whether a NetworkPolicy keeps the controller out"
	if !facts.Cluster.Writes {
		severity, where = Info, "from outside of the cluster pods can seldom be reached; how the controller fares its metric gpuscaler_scrapes_total tells"
	}
	if w.Spec.Scrape.Port != 0 {
		at := fmt.Sprintf("at %d%s", w.Spec.Scrape.Port, w.Spec.Scrape.Path)
		if d.Pods.Failed > 0 {
			f.add(severity, Scrape, "", fmt.Sprintf("%d of %s did not answer %s: %s", d.Pods.Failed, count(d.Pods.Asked, "pod"), at, d.Problem), where)
		} else {
			f.add(OK, Scrape, "", fmt.Sprintf("%s asked %s, all answered", count(d.Pods.Asked, "pod"), at), "")
		}
	}
	switch {
	case d.Agents.Failed > 0:
		f.add(severity, NVMLAgents, "", fmt.Sprintf("%d of %s did not answer: %s", d.Agents.Failed, count(d.Agents.Asked, "agent"), d.Problem), where)
	case d.Agents.Asked > 0:
		f.add(OK, NVMLAgents, "", fmt.Sprintf("%s asked on the nodes of its pods, all answered", count(d.Agents.Asked, "agent")), "")
	}
}

// judgeAgents judges whether there is an agent on each node with GPUs.
func judgeAgents(f *findings, facts *Facts) {
	switch {
	case facts.Agents == 0:
	case facts.Agents < facts.GPUNodes:
		// A cluster may have them in some of its pools only, and what is missing a workload shows.
		f.add(Info, NVMLAgents, "", fmt.Sprintf("there are %d, and %s with GPUs", facts.Agents, count(facts.GPUNodes, "node")),
			"look at the pods of the DaemonSet: kubectl -n "+facts.AgentNamespace+" get pods -l "+controller.AgentLabel)
	default:
		f.add(OK, NVMLAgents, "", fmt.Sprintf("there are %d, on %s with GPUs", facts.Agents, count(facts.GPUNodes, "node")), "")
	}
}

// counted are the signals that are told by how a count grows: one look cannot tell them.
var counted = []policy.Signal{policy.TokensPerSecond, policy.RequestsPerSecond, policy.TTFTP95, policy.InterTokenP95, policy.QueueTimeP95}
