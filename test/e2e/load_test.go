package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// Load up: replicas up within two ticks after the sample. Load gone: down after the window and not before. With the labels that
// dcgm-exporter's chart gives by default (exported_pod), and with honorLabels (pod).
func TestReplicasFollowTheLoad(t *testing.T) {
	for name, honorLabels := range map[string]bool{"exported_pod": false, "pod": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage.StartPrometheus(t, honorLabels)
			load := fleet.NewShared(nil)
			load.SetLoad(100)
			ns := stage.Namespace(t, "follow")
			d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations("scale-down.stabilization", "10s"), load)
			program := stage.Runs(t, ns, p.URL())
			d.WaitReason(program, "WithinTolerance")
			d.HoldsReplicas(2, 3*time.Second)

			load.SetLoad(200)
			sample := stage.Sampled(t, p, `max({__name__="DCGM_FI_DEV_GPU_UTIL",`+namespaceLabel(honorLabels)+`="`+ns+`"})`, 100)
			d.WaitReplicas(4, 10*time.Second)
			// Two ticks, and a second for the machine that all servers share.
			if took := time.Since(sample); took > 3*time.Second {
				t.Errorf("the replicas rose %s after the sample, want within two ticks of 1 s", took)
			}
			d.WaitReady(4)

			load.SetLoad(50)
			gone := time.Now()
			d.HoldsReplicas(4, 8*time.Second)
			d.WaitReplicas(1, 15*time.Second)
			if took := time.Since(gone); took < 10*time.Second {
				t.Errorf("the replicas fell %s after the load, want not before the window of 10 s", took)
			}
		})
	}
}

func namespaceLabel(honorLabels bool) string {
	if honorLabels {
		return "namespace"
	}
	return "exported_namespace"
}

// An LLM: vLLM's queue and cache, several signals, the largest wins.
func TestLLMFollowsItsQueue(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "llm")
	model := fleet.NewFixed(fleet.Reading{Waiting: 4, Running: 8, KVCache: 0.4})
	annotations := stage.GPUAnnotations("target.queue-depth", "4", "target.kv-cache", "80", "max-replicas", "4")
	delete(annotations, stage.Prefix+"target.gpu-utilization")
	d := stage.Create(t, ns, "llama", 2, annotations, model)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	model.SetAll(fleet.Reading{Waiting: 8, Running: 16, KVCache: 0.9})
	d.WaitReplicas(4, 15*time.Second)
	w := d.WaitReason(program, "TooManyReplicas")
	if len(w.Signals) != 2 || w.Signals["queue-depth"].Value == nil || *w.Signals["queue-depth"].Value != 8 {
		t.Errorf("signals %+v", w.Signals)
	}
}

// Two signals, one missing: up only.
func TestOneOfTwoSignalsMissing(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "partial")
	// The pods have no engine: queue-depth has no series at all.
	load := fleet.NewShared(nil)
	load.SetLoad(40)
	annotations := stage.GPUAnnotations("target.running-requests", "10")
	d := stage.Create(t, ns, "both", 4, annotations, load)
	program := stage.Runs(t, ns, p.URL())
	bed.WaitFor(t, 15*time.Second, "a lower recommendation that is held", func() error {
		w, err := program.Workload(ns, "both")
		if err != nil {
			return err
		}
		return bed.Want("decision", fmt.Sprintf("%s from %d to %d", w.Reason, w.Recommended, w.Guarded), "NoData from 1 to 4")
	})
	d.HoldsReplicas(4, 8*time.Second)
	load.SetLoad(300)
	d.WaitReplicas(6, 15*time.Second)
}
