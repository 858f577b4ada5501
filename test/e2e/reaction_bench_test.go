package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// reactionSteps are how many loads step up, each of a Deployment of its own and at a moment of its own.
const reactionSteps = 30

// arm is one way in which a step of load reaches the controller.
type arm struct {
	name string
	// scrape is the interval of Prometheus, 0 for none.
	scrape time.Duration
	// signal is what steps, and agents says that NVML agents tell it.
	signal string
	agents bool
	// annotations are what the way needs of the Deployments.
	annotations map[string]string
}

var arms = []arm{
	{name: "pods", signal: "running-requests", annotations: map[string]string{stage.Prefix + "scrape": "8000/metrics"}},
	{name: "nvml-agents", signal: "gpu-utilization", agents: true},
	{name: "prometheus-1s", signal: "running-requests", scrape: time.Second},
	{name: "prometheus-15s", signal: "running-requests", scrape: 15 * time.Second},
}

// BenchmarkReaction is the time from a step of load on a pod to the PATCH at the API server, at an interval of 1 s: read from the pods
// themselves, from the agents on their nodes, and through a Prometheus that scrapes each second or each 15. Run it with -benchtime 1x:
// it prints the distribution over 30 steps at random moments. It shares the machine with the control plane and all servers.
func BenchmarkReaction(b *testing.B) {
	for _, a := range arms {
		b.Run(a.name, func(b *testing.B) {
			for b.Loop() {
				took := a.react(b)
				slices.Sort(took)
				at := func(q float64) float64 { return took[int(q*float64(len(took)-1)+0.5)].Seconds() }
				b.ReportMetric(at(0.5), "p50-s")
				b.ReportMetric(at(0.9), "p90-s")
				b.ReportMetric(at(0.99), "p99-s")
				b.ReportMetric(at(1), "max-s")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// react lets all loads step and returns how long each took.
func (a *arm) react(b *testing.B) []time.Duration {
	ns := stage.Namespace(b, a.name)
	url := ""
	if a.scrape > 0 {
		url = stage.StartPrometheusAt(b, false, a.scrape).URL()
	}
	if err := stage.Cluster.Fleet.AddPoolNode(b.Context(), ns, ns, 2*reactionSteps); err != nil {
		b.Fatal(err)
	}
	if a.agents {
		if err := stage.Cluster.Fleet.AddAgent(b.Context(), ns); err != nil {
			b.Fatal(err)
		}
	}
	deployments := make([]stage.Deployment, reactionSteps)
	models := make([]*fleet.Fixed, reactionSteps)
	for i := range deployments {
		annotations := map[string]string{stage.Prefix + "enabled": "true", stage.Prefix + "max-replicas": "2", stage.Prefix + "target." + a.signal: "50"}
		for key, value := range a.annotations {
			annotations[key] = value
		}
		builder := fleet.Deployment(ns, fmt.Sprintf("model-%02d", i)).Annotations(annotations).Pool(ns).VLLM().Loopback()
		deployments[i], models[i] = stage.Begin(b, builder), fleet.NewFixed(fleet.Reading{Running: 50, GPUUtilization: 50})
		stage.Cluster.Fleet.Drive(ns, deployments[i].Name, models[i])
	}
	program := stage.Runs(b, ns, url)
	for _, d := range deployments {
		d.WaitReason(program, "WithinTolerance")
	}
	took := make([]time.Duration, reactionSteps)
	var wg sync.WaitGroup
	for i, d := range deployments {
		wg.Go(func() {
			time.Sleep(rand.N(15 * time.Second))
			began := time.Now()
			models[i].SetAll(fleet.Reading{Running: 100, GPUUtilization: 100})
			d.WaitReplicas(2, time.Minute)
			took[i] = written(d, began)
		})
	}
	wg.Wait()
	return took
}

// written is how long after a moment the first write reached the API server.
func written(d stage.Deployment, after time.Time) time.Duration {
	d.T.Helper()
	var first time.Time
	bed.WaitFor(d.T, 10*time.Second, "the write of "+d.Name+" in the audit log", func() error {
		writes := d.Writes()
		if err := bed.Want("writes", min(len(writes), 1), 1); err != nil {
			return err
		}
		first = writes[0].Time
		return nil
	})
	return first.Sub(after)
}
