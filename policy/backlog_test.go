package policy

import (
	"slices"
	"testing"
)

// engine is the observation in which every ready pod reads the same; the last loading pods are not ready. NaN is no sample.
func (w *world) engine(loading int, readings map[Signal]float64) Observation {
	o := w.seen(0)
	o.Readings = nil
	for i := len(o.Pods) - loading; i < len(o.Pods); i++ {
		o.Pods[i].Phase = Loading
	}
	for _, info := range signals {
		v, ok := readings[info.Signal]
		if !ok {
			continue
		}
		r := Reading{Signal: info.Signal}
		for _, p := range o.Pods {
			r.Samples = append(r.Samples, Sample{Value: v, Time: w.now, OK: p.Phase == Ready})
		}
		o.Readings = append(o.Readings, r)
	}
	return o
}

// An empty queue lowers only to what the signals beside it say that fewer replicas can carry.
func TestEmptyQueueLowersToWhatOthersCarry(t *testing.T) {
	for _, tt := range []struct {
		name     string
		targets  map[string]string
		readings map[Signal]float64
		want     int
	}{
		{"running at its class target: 6 x 7 / 14", nil, map[Signal]float64{QueueDepth: 0, RunningRequests: 7}, 3},
		{"running at its own target: 6 x 8 / 12", map[string]string{"target.running-requests": "12"}, map[Signal]float64{QueueDepth: 0, RunningRequests: 8}, 4},
		{"the cache: 6 x 70 / 80", nil, map[Signal]float64{QueueDepth: 0, KVCache: 70}, 6},
		{"the one that needs most", nil, map[Signal]float64{QueueDepth: 0, KVCache: 40, RunningRequests: 2}, 3},
		{"a GPU where the engine tells nothing: 6 x 25 / 75", nil, map[Signal]float64{QueueDepth: 0, GPUUtilization: 25}, 2},
		{"a busy GPU does not hold what the engine carries", nil, map[Signal]float64{QueueDepth: 0, RunningRequests: 2, GPUUtilization: 100}, 1},
		{"the queue itself counts too", nil, map[Signal]float64{QueueDepth: 3, RunningRequests: 1}, 5},
		{"nobody tells", nil, map[Signal]float64{QueueDepth: 0}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			annotations := map[string]string{"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "0s"}
			for k, v := range tt.targets {
				annotations[k] = v
			}
			w := world{replicas: 6, now: testStart, spec: mustParse(t, annotations)}
			if d := w.tick(w.engine(0, tt.readings)); d.Desired != tt.want {
				t.Errorf("%d, want %d (%s)", d.Desired, tt.want, d.Message())
			}
		})
	}
}

// Without any other signal an empty queue removes one replica per scale-down window.
func TestEmptyQueueAloneRemovesOnePerWindow(t *testing.T) {
	w := world{replicas: 3, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "30s",
	})}
	var got []int
	for range 8 {
		got = append(got, w.tick(w.engine(0, map[Signal]float64{QueueDepth: 0})).Desired)
	}
	if want := []int{3, 3, 2, 2, 1, 1, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// When the other signals go while the window already agrees on fewer, the next one waits for its own window too.
func TestEmptyQueueAloneRemovesOnePerWindowAfterOthersWent(t *testing.T) {
	w := world{replicas: 6, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "20", "target.queue-depth": "4", "scale-down.stabilization": "30s", "scale-down.policies": "1 pod/15s",
	})}
	var got []int
	for i := range 9 {
		readings := map[Signal]float64{QueueDepth: 0}
		if i < 3 {
			readings[RunningRequests] = 1
		}
		got = append(got, w.tick(w.engine(0, readings)).Desired)
	}
	if want := []int{6, 6, 5, 5, 5, 4, 4, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// While pods load, a queue that waits for them does not ask for more than twice the ready ones.
func TestQueueIsNotAnsweredTwiceWhilePodsLoad(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "50", "target.queue-depth": "4", "scale-up.policies": "100 pods/15s"})
	for _, tt := range []struct{ ready, loading, want int }{{2, 0, 20}, {2, 1, 4}, {2, 6, 8}, {4, 1, 8}} {
		w := world{replicas: tt.ready + tt.loading, now: testStart, spec: spec}
		if d := w.tick(w.engine(tt.loading, map[Signal]float64{QueueDepth: 40})); d.Desired != tt.want {
			t.Errorf("%d ready and %d loading: %d, want %d (%s)", tt.ready, tt.loading, d.Desired, tt.want, d.Message())
		}
	}
}
