package policy

import (
	"slices"
	"testing"
	"time"
)

func TestBands(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "100", "steps.gpu-utilization": "<30:-1, >85:+2, >95:+50%, <10:-25%"})
	for _, tt := range []struct {
		value    float64
		replicas int
		want     int
	}{
		{50, 5, 5},
		{85, 5, 5}, // strict
		{85.1, 5, 7},
		{96, 5, 8}, // 2.5 rounds away from zero
		{30, 5, 5},
		{29, 5, 4},
		{9, 5, 3}, // 1.25 rounds away from zero
	} {
		got := tt.replicas
		if i := spec.Steps[0].band(tt.value); i >= 0 {
			got = spec.Steps[0].Bands[i].apply(tt.replicas)
		}
		if got != tt.want {
			t.Errorf("%v with %d replicas: %d, want %d", tt.value, tt.replicas, got, tt.want)
		}
	}
}

// Latencies are in seconds: a band looks at finer parts of a reading than the thousandths of a target.
func TestBandsAreExact(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "100", "steps.inter-token-p95": "<0.0101:-1, >0.05:+2", "scale-down.stabilization": "0s"})
	for _, tt := range []struct {
		values []float64
		want   int
	}{
		{[]float64{0.0504}, 5},
		{[]float64{0.05}, 3},
		{[]float64{0.0101}, 3}, // the mean of three equal ones is that
		{[]float64{0.01009}, 2},
		{[]float64{0.05, 0.05, 0.0501}, 5},
	} {
		w := world{spec: spec, replicas: 3, now: testStart}
		o := w.seen(tt.values...)
		o.Readings[0].Signal = InterTokenP95
		if d := w.tick(o); d.Desired != tt.want {
			t.Errorf("%v: %d, want %d (%s)", tt.values, d.Desired, tt.want, d.Message())
		}
		o.Replicas = 3
		o.Readings[0] = Reading{Signal: InterTokenP95, PerWorkload: true, Workload: Sample{Value: tt.values[0], OK: true}}
		if d, _ := Decide(spec, State{}, o, testStart); len(tt.values) == 1 && d.Desired != tt.want {
			t.Errorf("%v as a workload signal: %d, want %d (%s)", tt.values, d.Desired, tt.want, d.Message())
		}
	}
}

// While replicas are starting no further step is added for the same band; afterwards it fires again.
func TestStepFiresOnceWhileReplicasStart(t *testing.T) {
	w := world{replicas: 2, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "100", "steps.gpu-utilization": ">85:+2", "scale-up.policies": "100 pods/15s",
	})}
	loading := func(n int) Observation {
		o := w.seen(90)
		for i := len(o.Pods) - n; i < len(o.Pods); i++ {
			o.Pods[i].Phase = Loading
		}
		return o
	}
	got := []int{w.tick(w.seen(90)).Desired, w.tick(loading(2)).Desired, w.tick(loading(1)).Desired, w.tick(w.seen(90)).Desired}
	if want := []int{4, 4, 4, 6}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A step that was decided but not written has not fired.
func TestStepThatWasNotWrittenRecommendsAgain(t *testing.T) {
	w := world{replicas: 2, now: testStart, spec: mustParse(t, map[string]string{"max-replicas": "100", "steps.gpu-utilization": ">85:+2"})}
	_, state := Decide(w.spec, w.state, w.seen(90), w.now)
	if d, _ := Decide(w.spec, state, w.seen(90), w.now.Add(testInterval)); d.Desired != 4 {
		t.Errorf("got %d, want 4", d.Desired)
	}
}

// A sample that was taken before the last step's pods were ready does not fire the band again.
func TestStepWaitsForASampleTakenAfterItsPodsAreReady(t *testing.T) {
	w := world{replicas: 2, now: testStart, spec: mustParse(t, map[string]string{"max-replicas": "100", "steps.gpu-utilization": ">85:+2"})}
	w.tick(w.seen(90))
	old := w.seen(90)
	for i := range old.Pods[2:] {
		old.Pods[2+i].Since = w.now
	}
	for i := range old.Readings[0].Samples {
		old.Readings[0].Samples[i].Time = w.now.Add(-time.Second)
	}
	if d := w.tick(old); d.Desired != 4 {
		t.Errorf("an old sample: %d, want 4", d.Desired)
	}
}

// A target and steps side by side: the largest recommendation wins, and a signal in no band keeps what there is.
func TestStepsBesideTarget(t *testing.T) {
	w := world{replicas: 4, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "100", "target.running-requests": "10", "steps.gpu-utilization": ">85:+1, <20:-3", "scale-down.stabilization": "0s",
	})}
	for _, tt := range []struct {
		running, gpu float64
		want         int
	}{{20, 90, 8}, {10, 90, 9}, {2, 50, 9}, {2, 10, 6}} {
		o := w.seen(tt.gpu)
		running := Reading{Signal: RunningRequests}
		for range o.Pods {
			running.Samples = append(running.Samples, Sample{Value: tt.running, Time: w.now, OK: true})
		}
		o.Readings = append(o.Readings, running)
		if d := w.tick(o); d.Desired != tt.want {
			t.Errorf("running %v, gpu %v: %d, want %d (%s)", tt.running, tt.gpu, d.Desired, tt.want, d.Message())
		}
	}
}

// A latency of no request is in no band, and not missing either: it keeps what there is and lets others lower.
func TestIdleLatencyIsInNoBand(t *testing.T) {
	for _, tt := range []struct {
		name string
		idle int // of 4 pods; the others read 5 s
		want int
	}{{"all idle", 4, 4}, {"one serves", 3, 5}, {"none idle", 0, 5}} {
		w := world{replicas: 4, now: testStart, spec: mustParse(t, map[string]string{
			"max-replicas": "9", "steps.ttft-p95": "<0.2:-1, >2:+1", "scale-down.stabilization": "0s",
		})}
		o := w.seen(5)
		o.Readings[0].Signal = TTFTP95
		for i := range tt.idle {
			o.Readings[0].Samples[i] = Sample{OK: true, Idle: true}
		}
		if d := w.tick(o); d.Desired != tt.want || d.Signals[0].Missing != 0 {
			t.Errorf("%s: %d with %d missing, want %d (%s)", tt.name, d.Desired, d.Signals[0].Missing, tt.want, d.Message())
		}
	}
}
