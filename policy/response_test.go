package policy

import (
	"strings"
	"testing"
)

func noted(d *Decision, r Reason) bool {
	for _, n := range d.Notes {
		if n.Reason == r {
			return true
		}
	}
	return false
}

// A signal that stays where it is although replicas are added is told after two raises; it stops them if that was asked for and it is
// known that no more load came.
func TestNotResponding(t *testing.T) {
	for _, tt := range []struct {
		name     string
		more     map[string]string
		requests []float64 // per second and pod, nil for not known
		want     []int
		noted    bool
	}{
		{"a warning", nil, nil, []int{4, 8, 12, 12}, true},
		{"stop, and the load is known to be the same", map[string]string{"not-responding": "stop"}, []float64{12, 6, 3, 3}, []int{4, 8, 8, 8}, true},
		{"stop, and the load rises", map[string]string{"not-responding": "stop"}, []float64{12, 12, 12, 12}, []int{4, 8, 12, 12}, false},
		{"stop without knowing the load is a warning", map[string]string{"not-responding": "stop"}, nil, []int{4, 8, 12, 12}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			annotations := map[string]string{"max-replicas": "12", "target.running-requests": "10"}
			for k, v := range tt.more {
				annotations[k] = v
			}
			c := newCluster(t, 2, annotations)
			was := false
			for i, want := range tt.want {
				values := running(20)
				if tt.requests != nil {
					values[RequestsPerSecond] = tt.requests[i]
				}
				d := c.tick(c.look(values))
				was = was || noted(&d, NotResponding)
				if d.Desired != want {
					t.Errorf("tick %d: %d, want %d (%s)", i, d.Desired, want, d.Message())
				}
			}
			if was != tt.noted {
				t.Errorf("told: %v, want %v", was, tt.noted)
			}
		})
	}
}

// A signal that falls by a quarter of what proportion predicts responds; then and when it asks for no more, all is forgotten.
func TestResponding(t *testing.T) {
	c := newCluster(t, 2, map[string]string{"max-replicas": "40", "target.running-requests": "10", "not-responding": "stop"})
	values := func(v, rps float64) map[Signal]float64 {
		return map[Signal]float64{RunningRequests: v, RequestsPerSecond: rps}
	}
	c.expect("one raise in vain", values(20, 12), 4)
	c.expect("a second", values(20, 6), 8)
	c.expect("20 -> 17 of 20 -> 10 is a response", values(17, 3), 14)
	c.expect("in vain again", values(17, 1.5), 24)
	c.expect("enough", values(9.5, 1), 24)
	if c.state.Deaf != (Deafness{}) {
		t.Errorf("%+v is remembered of a signal that asks for no more", c.state.Deaf)
	}
}

// Memory that an engine takes in advance raises once.
func TestPinnedMemoryRaisesOnce(t *testing.T) {
	for _, tt := range []struct {
		more map[string]string
		want []int
	}{
		{nil, []int{3, 3, 3, 3}},
		{map[string]string{"not-responding": "warn"}, []int{3, 4, 5, 6}},
	} {
		annotations := map[string]string{"max-replicas": "6", "target.gpu-memory": "80"}
		for k, v := range tt.more {
			annotations[k] = v
		}
		c := newCluster(t, 2, annotations)
		c.expect("pinned at 95 %", map[Signal]float64{GPUMemory: 95}, tt.want...)
		if d := c.tick(c.look(map[Signal]float64{GPUMemory: 95})); !noted(&d, NotResponding) || !strings.Contains(d.Message(), "in advance") {
			t.Errorf("not told: %s", d.Message())
		}
	}
}

// A GPU at 100 % cannot show that it is helped, unless it is known that nothing waits.
func TestSaturatedUtilization(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[Signal]float64
		want   bool
	}{
		{"queue not known", map[Signal]float64{GPUUtilization: 100}, false},
		{"queue not empty", map[Signal]float64{GPUUtilization: 100, QueueDepth: 3}, false},
		{"queue empty", map[Signal]float64{GPUUtilization: 100, QueueDepth: 0}, true},
		{"not saturated", map[Signal]float64{GPUUtilization: 90}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, 2, map[string]string{"max-replicas": "40", "target.gpu-utilization": "50"})
			was := false
			for range 4 {
				d := c.tick(c.look(tt.values))
				was = was || noted(&d, NotResponding)
			}
			if was != tt.want {
				t.Errorf("told: %v, want %v", was, tt.want)
			}
		})
	}
}
