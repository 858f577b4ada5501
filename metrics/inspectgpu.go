package metrics

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// GPUPods are the pods whose GPUs DCGM tells something special of.
type GPUPods struct {
	// Shared holds, for each pod that reads a GPU which other pods read too, how many pods do.
	Shared map[PodKey]int
	// MIG holds the pods that have an instance of a divided GPU.
	MIG map[PodKey]bool
}

// perPod names the workload's pod in one spelling or the other, so that one GPU read by two exporters is not taken for one
// that two pods share.
var perPod = [2]struct{ matchers, labels string }{
	{`exported_pod!=""`, "exported_namespace, exported_pod"},
	{`exported_pod="", pod!=""`, "namespace, pod"},
}

// GPUPods looks for pods that share GPUs or have parts of them. A GPU's memory is what is looked at: it is read in every mode.
func (p *Prometheus) GPUPods(ctx context.Context, namespaces []string) (GPUPods, error) {
	found := GPUPods{Shared: map[PodKey]int{}, MIG: map[PodKey]bool{}}
	for _, list := range split(namespaces, maxQueryGET, func(some []string) int { return len(gpuPods(some)) }) {
		_, err := p.ask(ctx, gpuPods(list), func(labels *labelSet, v float64) {
			key, _, ok := identity(labels)
			switch {
			case !ok:
			case labels[fieldSource] == "shared":
				found.Shared[key] = max(found.Shared[key], int(v))
			default:
				found.MIG[key] = true
			}
		})
		if err != nil {
			return GPUPods{}, fmt.Errorf("looking for GPUs that pods share: %w", err)
		}
	}
	return found, nil
}

// gpuPods is one expression for both: pods per GPU, where there are several, given to each of the pods; and instances.
func gpuPods(namespaces []string) string {
	const metric = "DCGM_FI_DEV_FB_USED"
	var holders, shared, mig []string
	for _, f := range perPod {
		holders = append(holders, fmt.Sprintf(`group by (UUID, GPU_I_ID, %s) (%s{UUID!="", %s})`, f.labels, metric, f.matchers))
	}
	sharers := "count by (UUID, GPU_I_ID) (" + strings.Join(holders, " or ") + ") > 1"
	for _, f := range (selection{namespaces: namespaces}).forms() {
		labels := strings.Split(f.labels, ", ")[0] + ", exported_pod, pod"
		shared = append(shared, fmt.Sprintf("max by (%s) ((%s * 0) + on (UUID, GPU_I_ID) group_left () (%s))", labels, metric+"{"+f.matchers+"}", sharers))
		mig = append(mig, fmt.Sprintf("group by (%s) (%s{GPU_I_PROFILE!=\"\", %s})", labels, metric, f.matchers))
	}
	return marked(strings.Join(shared, " or "), "shared") + "\nor " + marked(strings.Join(mig, " or "), "mig")
}

// Cadence tells how often DCGM reads the GPUs, as far as Prometheus shows it.
type Cadence struct {
	// Scrape is the time between two samples, and Change that between two different values. Both are 0 if unknown.
	Scrape, Change time.Duration
}

// Cadence finds out at which interval DCGM's values change: it reads a GPU no more often than that, and its readings carry no
// time. The power draw is looked at, which is hardly twice the same.
func (p *Prometheus) Cadence(ctx context.Context) (Cadence, error) {
	const metric = "DCGM_FI_DEV_POWER_USAGE"
	expr := marked("max(changes("+metric+"[10m]))", "changes") + "\nor " + marked("max(count_over_time("+metric+"[10m]))", "samples") +
		"\nor " + marked("max(count_over_time("+metric+"[1m]))", "lately")
	values := map[string]float64{}
	if _, err := p.ask(ctx, expr, func(labels *labelSet, v float64) { values[labels[fieldSource]] = v }); err != nil {
		return Cadence{}, fmt.Errorf("looking how often DCGM reads the GPUs: %w", err)
	}
	var c Cadence
	samples, lately := values["samples"], values["lately"]
	if samples < minCadence || lately == 0 {
		return c, nil
	}
	scrape := max(math.Round(60/lately), 1) // whole seconds: what falls into the minute differs by one
	c.Scrape = toTheSecond(scrape)
	if changes := values["changes"]; changes > 0 {
		c.Change = toTheSecond(scrape * samples / (changes + 1))
	}
	return c, nil
}

// minCadence is how many samples must be there to tell from.
const minCadence = 8

// toTheSecond rounds: scrapes are not exact to the millisecond.
func toTheSecond(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds)) * time.Second
}
