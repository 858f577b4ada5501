package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

var testStart = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

const testInterval = 15 * time.Second

// mustParse parses annotations without their prefix.
func mustParse(t testing.TB, annotations map[string]string) Spec {
	t.Helper()
	full := map[string]string{Prefix + "enabled": "true"}
	for k, v := range annotations {
		full[Prefix+k] = v
	}
	spec, problems := Parse(full, Settings{MaxSampleAge: 90 * time.Second, Interval: testInterval})
	if problems != nil {
		t.Fatal(problems)
	}
	return spec
}

// world is a Deployment all of whose pods are ready at once, and which takes every write.
type world struct {
	spec     Spec
	state    State
	replicas int
	now      time.Time
}

// seen is the observation in which every pod reads the values, the last one also for all further pods; NaN is no sample.
func (w *world) seen(values ...float64) Observation {
	o := Observation{Replicas: w.replicas, Readings: []Reading{{Signal: GPUUtilization}}}
	for i := range w.replicas {
		o.Pods = append(o.Pods, Pod{Name: fmt.Sprint(i), Phase: Ready})
		v := values[min(i, len(values)-1)]
		o.Readings[0].Samples = append(o.Readings[0].Samples, Sample{Value: v, Time: w.now, OK: !math.IsNaN(v)})
	}
	return o
}

// tick decides, writes, and moves on by an interval.
func (w *world) tick(o Observation) Decision {
	d, next := Decide(w.spec, w.state, o, w.now)
	w.state = next.Wrote(d, w.now)
	w.replicas = d.Desired
	w.now = w.now.Add(testInterval)
	return d
}

var none = math.NaN()

func repeat(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }

func repeatInt(v, n int) []int { return slices.Repeat([]int{v}, n) }

func TestSequences(t *testing.T) {
	tests := []struct {
		name        string
		annotations map[string]string
		replicas    int
		readings    []float64 // of every pod, one a tick
		want        []int     // replicas after each tick
		reasons     map[int]Reason
	}{
		{
			name:        "a raise follows the ratio at once",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50"},
			replicas:    2,
			readings:    []float64{50, 75, 50},
			want:        []int{2, 3, 3},
			reasons:     map[int]Reason{0: WithinTolerance, 1: ReadyForNewScale},
		},
		{
			name:        "the default policies double or add 4, whichever is more, in 15 s",
			annotations: map[string]string{"max-replicas": "100", "target.gpu-utilization": "5"},
			replicas:    1,
			readings:    repeat(100, 5),
			want:        []int{5, 10, 20, 40, 80},
			reasons:     map[int]Reason{0: ScaleUpLimit},
		},
		{
			name:        "the maximum holds",
			annotations: map[string]string{"max-replicas": "3", "target.gpu-utilization": "50"},
			replicas:    2,
			readings:    []float64{100, 100},
			want:        []int{3, 3},
			reasons:     map[int]Reason{0: TooManyReplicas},
		},
		{
			name:        "lowering waits for the whole window and not longer",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "scale-down.stabilization": "1m"},
			replicas:    4,
			readings:    repeat(20, 6),
			want:        []int{4, 4, 4, 4, 2, 2},
			reasons:     map[int]Reason{0: ScaleDownStabilized, 3: ScaleDownStabilized, 4: ReadyForNewScale},
		},
		{
			name:        "raising waits for its window if it has one",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "scale-up.stabilization": "30s"},
			replicas:    2,
			readings:    []float64{100, 100, 100, 50},
			want:        []int{2, 2, 4, 4},
			reasons:     map[int]Reason{0: ScaleUpStabilized, 1: ScaleUpStabilized, 2: ReadyForNewScale},
		},
		{
			name:        "a change that rounds to the current number is none",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "scale-down.stabilization": "0s"},
			replicas:    2,
			readings:    []float64{40},
			want:        []int{2},
			reasons:     map[int]Reason{0: DesiredWithinRange},
		},
		{
			name:        "the minimum holds",
			annotations: map[string]string{"min-replicas": "2", "max-replicas": "10", "target.gpu-utilization": "50", "scale-down.stabilization": "0s"},
			replicas:    4,
			readings:    []float64{1, 1},
			want:        []int{2, 2},
			reasons:     map[int]Reason{0: TooFewReplicas},
		},
		{
			name:        "a disabled direction stays",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "scale-up.select-policy": "disabled"},
			replicas:    2,
			readings:    []float64{100},
			want:        []int{2},
			reasons:     map[int]Reason{0: ScaleUpLimit},
		},
		{
			name: "a rate limit counts what was changed within its period, strictly younger",
			annotations: map[string]string{
				"max-replicas": "20", "target.gpu-utilization": "5", "scale-up.policies": "2 pods/30s",
			},
			replicas: 1,
			readings: repeat(100, 6),
			want:     []int{3, 3, 5, 5, 7, 7},
		},
		{
			name: "min of two policies is the smaller change in both directions",
			annotations: map[string]string{
				"max-replicas": "20", "target.gpu-utilization": "50", "scale-up.policies": "1 pod/15s, 100%/15s", "scale-up.select-policy": "min",
				"scale-down.policies": "1 pod/15s, 50%/15s", "scale-down.select-policy": "min", "scale-down.stabilization": "0s",
			},
			replicas: 4,
			readings: []float64{100, 100, 10, 10},
			want:     []int{5, 6, 5, 4},
		},
		{
			name:        "replicas outside the bounds jump to the bound, with or without samples",
			annotations: map[string]string{"min-replicas": "3", "max-replicas": "10", "target.gpu-utilization": "50"},
			replicas:    1,
			readings:    []float64{none, none},
			want:        []int{3, 3},
			reasons:     map[int]Reason{0: TooFewReplicas, 1: NoData},
		},
		{
			name:        "a Deployment at zero is left there",
			annotations: map[string]string{"min-replicas": "3", "max-replicas": "10", "target.gpu-utilization": "50"},
			replicas:    0,
			readings:    []float64{100},
			want:        []int{0},
			reasons:     map[int]Reason{0: ScalingDisabled},
		},
		{
			name:        "paused stops even the bounds",
			annotations: map[string]string{"max-replicas": "3", "target.gpu-utilization": "50", "paused": "true"},
			replicas:    5,
			readings:    []float64{100},
			want:        []int{5},
			reasons:     map[int]Reason{0: Paused},
		},
		{
			name:        "paused up still lowers",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "paused": "up", "scale-down.stabilization": "0s"},
			replicas:    4,
			readings:    []float64{100, 10},
			want:        []int{4, 1},
			reasons:     map[int]Reason{0: Paused, 1: ReadyForNewScale},
		},
		{
			name:        "impossible readings are missing, not small or large",
			annotations: map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "scale-down.stabilization": "0s"},
			replicas:    4,
			readings:    []float64{-1, math.Inf(1), math.Inf(-1), 1e300},
			want:        []int{4, 4, 4, 4},
			reasons:     map[int]Reason{0: NoData, 1: NoData, 2: NoData, 3: NoData},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := world{spec: mustParse(t, tt.annotations), replicas: tt.replicas, now: testStart}
			var got []int
			for i, v := range tt.readings {
				d := w.tick(w.seen(v))
				got = append(got, d.Desired)
				if want, ok := tt.reasons[i]; ok && d.Reason != want {
					t.Errorf("tick %d: reason %s, want %s (%s)", i, d.Reason, want, d.Message())
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("replicas %v, want %v", got, tt.want)
			}
		})
	}
}

// Rule 1: ready pods without a sample count as at target when lowering and as idle when raising.
func TestMissingPods(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   int
		reason Reason
	}{
		{"missing at target when lowering: (10+10+10+50)/4", []float64{10, 10, 10, none}, 2, ReadyForNewScale},
		{"missing idle when raising: (100+100+100+0)/4", []float64{100, 100, 100, none}, 6, ReadyForNewScale},
		{"a raise may not become a lowering", []float64{60, 60, none, none}, 4, DesiredWithinRange},
		{"half suffices for lowering", []float64{5, 5, none, none}, 3, ReadyForNewScale},
		{"fewer than half never lower", []float64{0, none, none, none}, 4, PartialData},
		{"fewer than half may raise", []float64{500, none, none, none}, 8, ScaleUpLimit},
		{"none at all holds", []float64{none}, 4, NoData},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := world{replicas: 4, now: testStart, spec: mustParse(t, map[string]string{
				"max-replicas": "20", "target.gpu-utilization": "50", "scale-down.stabilization": "0s",
			})}
			d := w.tick(w.seen(tt.values...))
			if d.Desired != tt.want || d.Reason != tt.reason {
				t.Errorf("%d %s, want %d %s (%s)", d.Desired, d.Reason, tt.want, tt.reason, d.Message())
			}
		})
	}
}

// A pod that has just become ready has had no time to be scraped: it does not spoil the coverage.
func TestYoungPodsAreLeftOutOfCoverage(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "20", "target.gpu-utilization": "50", "scale-down.stabilization": "0s"})
	for _, tt := range []struct {
		age    time.Duration
		reason Reason
	}{{89 * time.Second, ReadyForNewScale}, {90 * time.Second, PartialData}} {
		w := world{replicas: 5, now: testStart, spec: spec}
		o := w.seen(0, 0, none, none, none)
		for i := 2; i < 5; i++ {
			o.Pods[i].Since = testStart.Add(-tt.age)
		}
		if d := w.tick(o); d.Reason != tt.reason {
			t.Errorf("ready for %s: %s, want %s (%s)", tt.age, d.Reason, tt.reason, d.Message())
		}
	}
}

func TestStaleSamplesAreMissing(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "20", "target.gpu-utilization": "50", "scale-down.stabilization": "0s"})
	for _, tt := range []struct {
		age    time.Duration
		reason Reason
		want   int
	}{{90 * time.Second, ReadyForNewScale, 1}, {91 * time.Second, StaleData, 4}} {
		w := world{replicas: 4, now: testStart, spec: spec}
		o := w.seen(5)
		for i := range o.Readings[0].Samples {
			o.Readings[0].Samples[i].Time = testStart.Add(-tt.age)
		}
		if d := w.tick(o); d.Reason != tt.reason || d.Desired != tt.want {
			t.Errorf("age %s: %d %s, want %d %s", tt.age, d.Desired, d.Reason, tt.want, tt.reason)
		}
	}
}

// One signal of several missing: raise only.
func TestOneOfTwoSignalsMissing(t *testing.T) {
	spec := mustParse(t, map[string]string{
		"max-replicas": "20", "target.gpu-utilization": "50", "target.running-requests": "10", "scale-down.stabilization": "0s",
	})
	for _, tt := range []struct {
		name   string
		value  float64
		other  *Reading
		want   int
		reason Reason
	}{
		{"absent, lower", 5, nil, 4, NoData},
		{"absent, raise", 75, nil, 6, ReadyForNewScale},
		{"warnings, lower", 5, &Reading{Signal: RunningRequests, Problem: PartialData, Detail: "partial response"}, 4, PartialData},
		{"refused, raise", 75, &Reading{Signal: RunningRequests, Problem: NoData, Detail: "HTTP 500"}, 6, ReadyForNewScale},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world{replicas: 4, now: testStart, spec: spec}
			o := w.seen(tt.value)
			if tt.other != nil {
				o.Readings = append(o.Readings, *tt.other)
			}
			if d := w.tick(o); d.Desired != tt.want || d.Reason != tt.reason {
				t.Errorf("%d %s, want %d %s (%s)", d.Desired, d.Reason, tt.want, tt.reason, d.Message())
			}
		})
	}
}

// Rule 2: a stretch without data longer than the age of a sample starts the window anew; a shorter one only holds.
func TestGap(t *testing.T) {
	// 90 s are 6 ticks: the seventh tick without data makes it a gap.
	for _, tt := range []struct {
		missing int
		want    []int
	}{
		{6, slices.Concat(repeatInt(4, 2+6), []int{1})},
		{7, slices.Concat(repeatInt(4, 2+7+6), []int{1})}, // at least the age of a sample: 6 ticks, not the window's 4
	} {
		w := world{replicas: 4, now: testStart, spec: mustParse(t, map[string]string{
			"max-replicas": "10", "target.gpu-utilization": "50", "scale-down.stabilization": "1m",
		})}
		var got []int
		for _, v := range slices.Concat(repeat(5, 2), repeat(none, tt.missing), repeat(5, len(tt.want)-2-tt.missing)) {
			got = append(got, w.tick(w.seen(v)).Desired)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%d ticks without data: %v, want %v", tt.missing, got, tt.want)
		}
	}
}

// With ticks so far apart that two of them are longer than a sample may be old, it takes more than two to make a gap.
func TestGapOfSlowTicks(t *testing.T) {
	for missing, want := range map[int]Reason{2: ReadyForNewScale, 3: Gap} {
		spec := mustParse(t, map[string]string{"max-replicas": "10", "target.gpu-utilization": "50", "scale-down.stabilization": "1m"})
		spec.Interval = time.Minute
		w := world{replicas: 4, now: testStart, spec: spec}
		var last Decision
		for _, v := range slices.Concat(repeat(5, 1), repeat(none, missing), repeat(5, 1)) {
			o := w.seen(v)
			last = w.tick(o)
			w.now = w.now.Add(spec.Interval - testInterval)
		}
		if last.Reason != want {
			t.Errorf("%d ticks of a minute without data: %s, want %s", missing, last.Reason, want)
		}
	}
}

// A decision that changes nothing leaves no event.
func TestWroteNothing(t *testing.T) {
	if s := (State{}).Wrote(Decision{Current: 3, Desired: 3}, testStart); len(s.Events) != 0 {
		t.Errorf("events %v", s.Events)
	}
}

func TestRaiseOnlySignals(t *testing.T) {
	base := map[string]string{"max-replicas": "20", "scale-down.stabilization": "0s"}
	reading := func(s Signal, v float64) Reading {
		r := Reading{Signal: s}
		for range 4 {
			r.Samples = append(r.Samples, Sample{Value: v, OK: true})
		}
		return r
	}
	for _, tt := range []struct {
		name     string
		targets  map[string]string
		readings []Reading
		want     int
	}{
		{"alone it never lowers", map[string]string{"target.kv-cache": "80"}, []Reading{reading(KVCache, 5)}, 4},
		{"it raises", map[string]string{"target.kv-cache": "40"}, []Reading{reading(KVCache, 80)}, 8},
		{
			"it does not keep others from lowering",
			map[string]string{"target.gpu-memory": "80", "target.gpu-utilization": "50"},
			[]Reading{reading(GPUMemory, 80), reading(GPUUtilization, 25)},
			2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			annotations := map[string]string{}
			for _, m := range []map[string]string{base, tt.targets} {
				for k, v := range m {
					annotations[k] = v
				}
			}
			w := world{replicas: 4, now: testStart, spec: mustParse(t, annotations)}
			o := w.seen(0)
			o.Readings = tt.readings
			if d := w.tick(o); d.Desired != tt.want {
				t.Errorf("%d, want %d (%s)", d.Desired, tt.want, d.Message())
			}
		})
	}
}

func TestWorkloadSignal(t *testing.T) {
	spec := mustParse(t, map[string]string{
		"max-replicas": "20", "query.gateway-queue": "gateway", "target.gateway-queue": "10", "scale-down.stabilization": "0s",
	})
	for _, tt := range []struct {
		value float64
		want  int
	}{{40, 4}, {44, 4}, {45, 5}, {10, 1}, {0, 1}} {
		w := world{replicas: 4, now: testStart, spec: spec}
		o := w.seen(0)
		o.Readings = []Reading{{Signal: "gateway-queue", PerWorkload: true, Workload: Sample{Value: tt.value, OK: true}}}
		if d := w.tick(o); d.Desired != tt.want {
			t.Errorf("%v: %d, want %d (%s)", tt.value, d.Desired, tt.want, d.Message())
		}
	}
}

// While the last good Spec stands in for broken annotations, nothing is lowered, not even to the maximum.
func TestRaiseOnlyAndFrozen(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "4", "target.gpu-utilization": "50", "scale-down.stabilization": "0s"})
	for _, tt := range []struct {
		name      string
		replicas  int
		value     float64
		raiseOnly Reason
		frozen    Reason
		want      int
	}{
		{"raise only raises", 2, 100, InvalidAnnotations, "", 4},
		{"raise only does not lower", 4, 1, InvalidAnnotations, "", 4},
		{"raise only does not lower to the maximum", 6, 1, InvalidAnnotations, "", 6},
		{"frozen does not raise", 2, 100, "", Conflict, 2},
		{"frozen does not jump to the maximum", 6, 100, "", Conflict, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world{replicas: tt.replicas, now: testStart, spec: spec}
			o := w.seen(tt.value)
			o.RaiseOnly, o.Frozen = tt.raiseOnly, tt.frozen
			if d := w.tick(o); d.Desired != tt.want {
				t.Errorf("%d, want %d (%s)", d.Desired, tt.want, d.Message())
			}
		})
	}
}

// A write that failed leaves the budgets untouched and the windows updated.
func TestRefusedWrite(t *testing.T) {
	w := world{replicas: 2, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "20", "target.gpu-utilization": "50", "scale-up.policies": "2 pods/1m",
	})}
	_, state := Decide(w.spec, w.state, w.seen(100), w.now)
	if len(state.Events) != 0 || state.Newest.Replicas != 4 {
		t.Fatalf("state after a decision that was not written: %+v", state)
	}
	d, _ := Decide(w.spec, state, w.seen(100), w.now.Add(testInterval))
	if d.Desired != 4 {
		t.Errorf("the next tick decides %d, want 4: the budget was not used", d.Desired)
	}
}

func TestDecideLeavesItsArgumentsAlone(t *testing.T) {
	w := randomWorld(t, rand.New(rand.NewPCG(1, 2)))
	for range 200 {
		o := w.seen(rand.Float64() * 100)
		before, _ := json.Marshal(w.state)
		d1, s1 := Decide(w.spec, w.state, o, w.now)
		d2, s2 := Decide(w.spec, w.state, o, w.now)
		if !reflect.DeepEqual(d1, d2) || !reflect.DeepEqual(s1, s2) {
			t.Fatal("two decisions over the same values differ")
		}
		if after, _ := json.Marshal(w.state); string(before) != string(after) {
			t.Fatalf("the state given was changed:\n%s\n%s", before, after)
		}
		w.tick(o)
	}
}

// A State that went through JSON decides the same.
func TestStateSurvivesJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	w := randomWorld(t, r)
	for i := range 300 {
		text, err := json.Marshal(w.state)
		if err != nil {
			t.Fatal(err)
		}
		var state State
		if err := json.Unmarshal(text, &state); err != nil {
			t.Fatal(err)
		}
		o := w.seen(r.Float64() * 100)
		d1, _ := Decide(w.spec, w.state, o, w.now)
		d2, _ := Decide(w.spec, state, o, w.now)
		if d1.Summary().Message != d2.Summary().Message || d1.Desired != d2.Desired {
			t.Fatalf("tick %d: %s\n%s", i, d1.Message(), d2.Message())
		}
		w.tick(o)
	}
}

// randomWorld makes a world with random rules.
func randomWorld(t testing.TB, r *rand.Rand) *world {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	w := &world{replicas: 1 + r.IntN(10), now: testStart, spec: mustParse(t, map[string]string{
		"min-replicas":             pick("1", "2", "3"),
		"max-replicas":             pick("5", "10", "50"),
		"target.gpu-utilization":   pick("30", "50", "80"),
		"scale-up.stabilization":   pick("0s", "15s", "1m"),
		"scale-down.stabilization": pick("0s", "1m", "5m"),
		"scale-up.policies":        pick("4 pods/15s, 100%/15s", "1 pod/1m", "10%/30s, 3 pods/2m"),
		"scale-down.policies":      pick("100%/15s", "1 pod/1m", "10%/30s, 3 pods/2m"),
		"scale-up.select-policy":   pick("max", "min"),
		"scale-down.select-policy": pick("max", "min"),
	})}
	return w
}
