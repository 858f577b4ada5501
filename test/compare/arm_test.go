package compare

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// seenNow is three ready pods and one that loads, of which the ready ones read so much of a signal each.
func seenNow(signal policy.Signal, each float64, out bool) policy.Observation {
	seen := policy.Observation{Replicas: 4}
	reading := policy.Reading{Signal: signal}
	for i := range 4 {
		pod := policy.Pod{Name: fmt.Sprint(i), Phase: policy.Ready}
		sample := policy.Sample{Value: each, OK: true}
		if i == 3 {
			pod.Phase, sample = policy.Loading, policy.Sample{}
		}
		seen.Pods = append(seen.Pods, pod)
		reading.Samples = append(reading.Samples, sample)
	}
	if out {
		reading.Problem = policy.NoData
	}
	seen.Readings = []policy.Reading{reading}
	return seen
}

// TestOutageByRival: metrics that are missing are 0 to KEDA and nothing to the HPA.
func TestOutageByRival(t *testing.T) {
	for _, test := range []struct {
		name  string
		start func(*hpa.Autoscaler, string) decide
		// busy and out are the replicas wanted of four under load, and without metrics after the window.
		busy, out int
		signal    policy.Signal
	}{
		{name: "KEDA", start: onWaiting(time.Minute, 5), signal: policy.QueueDepth, busy: 6, out: minReplicas},
		{
			name: "HPA", start: onPods(time.Minute, []policy.Target{{Signal: policy.RunningRequests, Value: 5}}),
			signal: policy.RunningRequests, busy: 6, out: 6,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := hpa.New(t.Context())
			synctest.Test(t, func(t *testing.T) {
				d := test.start(a, "key")
				replicas := 0
				look := func(out bool) {
					seen := seenNow(test.signal, 10, out)
					if replicas > 0 {
						seen.Replicas = replicas
					}
					decision, _ := d(spec, policy.State{}, seen, time.Now())
					replicas = decision.Desired
				}
				look(false)
				if replicas != test.busy {
					t.Errorf("under load: got %d, want %d", replicas, test.busy)
				}
				for range 8 { // two minutes
					time.Sleep(hpaInterval)
					look(true)
				}
				if replicas != test.out {
					t.Errorf("without metrics: got %d, want %d", replicas, test.out)
				}
			})
		})
	}
}

// TestKEDAPolls: a value is kept for 30 s.
func TestKEDAPolls(t *testing.T) {
	var p prometheusScaler
	start := time.Unix(1_000_000, 0)
	var got []float64
	for tick, each := range []float64{1, 2, 3, 4} {
		seen := seenNow(policy.QueueDepth, each, false)
		got = append(got, p.value(&seen, start.Add(time.Duration(tick)*hpaInterval)))
	}
	if want := []float64{3, 3, 9, 9}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPaced: it decides at its own times, and sees means and started pods of the time between.
func TestPaced(t *testing.T) {
	type sight struct {
		at      time.Duration
		value   float64
		started int
	}
	var got []sight
	start := time.Unix(1_000_000, 0)
	a := arm{interval: 5 * time.Second, averaged: []policy.Signal{policy.GPUUtilization}}
	d := a.paced(func(_ policy.Spec, s policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
		got = append(got, sight{now.Sub(start), seen.Readings[0].Samples[0].Value, len(seen.Started)})
		return to(&seen, 9, now), s
	}, 2*time.Second)
	for tick := range 9 {
		seen := seenNow(policy.GPUUtilization, float64(tick), false)
		seen.Started = []time.Duration{time.Minute}
		now := start.Add(time.Duration(tick) * time.Second)
		decision, _ := d(spec, policy.State{}, seen, now)
		want := seen.Replicas
		if tick == 2 || tick == 7 {
			want = 9
		}
		if decision.Desired != want {
			t.Errorf("tick %d: got %d, want %d", tick, decision.Desired, want)
		}
	}
	if want := []sight{{2 * time.Second, 1, 3}, {7 * time.Second, 5, 5}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
