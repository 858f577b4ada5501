package policy

import (
	"strings"
	"testing"
)

// uneven sets a signal of single pods.
func (c *cluster) uneven(values map[Signal][]float64) func(*Observation) {
	return func(o *Observation) {
		for signal, list := range values {
			r := Reading{Signal: signal}
			for i := range o.Pods {
				r.Samples = append(r.Samples, Sample{Value: list[min(i, len(list)-1)], Time: c.now, OK: o.Pods[i].Phase == Ready})
			}
			o.Readings = append(o.Readings, r)
		}
	}
}

// Requests that wait for two minutes on a pod without a token are no demand: the pod is left out and reported.
func TestHangIsLeftOut(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "1h"})
	c.edit = c.uneven(map[Signal][]float64{QueueDepth: {20, 4}, TokensPerSecond: {0, 100}})
	c.expect("it could be a long prompt", nil, 7)
	c.edit = nil
	c = newCluster(t, 3, map[string]string{"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "1h", "paused": "up"})
	c.edit = c.uneven(map[Signal][]float64{QueueDepth: {20, 4}, TokensPerSecond: {0, 100}})
	c.expect("two minutes", nil, repeatInt(3, 8)...)
	d := c.tick(c.look(nil))
	if d.Recommended.Replicas != 3 || d.Signals[0].Sampled != 2 || !noted(&d, Stalled) || !strings.Contains(d.Message(), "pod-0") {
		t.Errorf("%d recommended of %d pods, want 3 of 2 and pod-0 named (%s)", d.Recommended.Replicas, d.Signals[0].Sampled, d.Message())
	}
	c.edit = c.uneven(map[Signal][]float64{QueueDepth: {20, 4}, TokensPerSecond: {10, 100}})
	if d = c.tick(c.look(nil)); d.Signals[0].Sampled != 3 || noted(&d, Stalled) {
		t.Errorf("it gives tokens again and is still left out (%s)", d.Message())
	}
}

// Where all ready pods hang more replicas would not help, and fewer would be a guess.
func TestAllHang(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "0s", "scale-up.policies": "1 pods/10m"})
	c.edit = c.uneven(map[Signal][]float64{QueueDepth: {20}, TokensPerSecond: {0}})
	c.expect("until it is known", nil, repeatInt(4, 8)...)
	c.now = c.now.Add(15 * testInterval / 10)
	got := c.tick(c.look(nil))
	if got.Desired != 4 || got.Recommended.Reason != Stalled {
		t.Errorf("%d %s, want 4 Stalled (%s)", got.Desired, got.Recommended.Reason, got.Message())
	}
}

// A rate of zero on a pod that served a moment ago is no idleness, unless nothing is known to wait or run there.
func TestRateOfZero(t *testing.T) {
	tokens := map[Signal]float64{TokensPerSecond: 100}
	for _, tt := range []struct {
		name   string
		values map[Signal]float64
		want   int
		reason Reason
	}{
		{"queue and running not known", map[Signal]float64{TokensPerSecond: 0}, 4, NoData},
		{"a request runs", map[Signal]float64{TokensPerSecond: 0, QueueDepth: 0, RunningRequests: 1}, 4, NoData},
		{"a request waits", map[Signal]float64{TokensPerSecond: 0, QueueDepth: 1, RunningRequests: 0}, 4, NoData},
		{"nothing waits or runs", map[Signal]float64{TokensPerSecond: 0, QueueDepth: 0, RunningRequests: 0}, 0, ScaleDownStabilized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, 4, map[string]string{"max-replicas": "20", "target.tokens-per-second": "100", "scale-down.stabilization": "1m"})
			c.expect("at work", tokens, 4)
			c.expect("it stops", tt.values, 4, 4)
			if d := c.tick(c.look(tt.values)); d.Recommended.Replicas != tt.want || d.Reason != tt.reason {
				t.Errorf("%d %s, want %d %s (%s)", d.Recommended.Replicas, d.Reason, tt.want, tt.reason, d.Message())
			}
		})
	}
	c := newCluster(t, 4, map[string]string{"max-replicas": "20", "target.tokens-per-second": "100", "scale-down.stabilization": "1m"})
	c.expect("no work within the window: 0 is 0", map[Signal]float64{TokensPerSecond: 0}, 4, 4, 4, 4, 1)
}

// The pod that hangs is not what the load is lowered to, and one that hangs beside busy ones is answered.
func TestHangCountsForNothing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		others  float64
		want    int
		pending string
	}{
		{"little to do: one that works, and the one that hangs", 1, 2, "1"},
		{"2 healthy ones at target", 4, 3, "1"},
		{"3 healthy ones are needed", 6, 4, "1"},
		{"but none is answered", 6, 3, "0"},
	} {
		c := newCluster(t, 3, map[string]string{"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "0s", "paused": "true", "max-pending": tt.pending})
		c.edit = c.uneven(map[Signal][]float64{QueueDepth: {20, tt.others}, TokensPerSecond: {0, 100}, RunningRequests: {1, 1}})
		c.run(8, nil)
		if d := c.tick(c.look(nil)); d.Recommended.Replicas != tt.want {
			t.Errorf("%s: %d, want %d (%s)", tt.name, d.Recommended.Replicas, tt.want, d.Message())
		}
	}
}
