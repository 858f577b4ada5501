package compare

import (
	"testing"
	"time"
)

// TestKPA holds kpa to the numbers that Knative's own tests want of its autoscaler: pkg/autoscaler/scaling/autoscaler_test.go,
// TestAutoscalerScale and others, whose rates of change are 10 where nothing else is said.
func TestKPA(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	panicking := func(k *kpa) { k.panicTime, k.maxPanicPods = now.Add(-5*time.Second), 5 }
	for _, test := range []struct {
		name          string
		target        float64
		prepare       func(*kpa)
		ready         int
		stable, panic float64
		want          int
	}{
		{name: "no load", target: 10, ready: 1, want: 0},
		{name: "stable", target: 10, ready: 5, stable: 50, panic: 50, want: 5},
		{name: "one pod is enough", target: 181, ready: 1, stable: 21, panic: 26, want: 1},
		{name: "panic on one pod", target: 10, ready: 1, stable: 50, panic: 49, want: 5},
		{name: "in panic the stable value may be larger", target: 1, prepare: panicking, ready: 5, stable: 50, panic: 30, want: 50},
		{name: "in panic the panic value", target: 1, prepare: panicking, ready: 5, stable: 20, panic: 30, want: 30},
		{
			name: "a small rate up is one pod at least", target: 1, prepare: func(k *kpa) { k.maxScaleUpRate = 1.1 },
			ready: 2, stable: 3, panic: 3.1, want: 3,
		},
		{
			name: "a small rate down", target: 10, prepare: func(k *kpa) { k.maxScaleDownRate = 1.1 },
			ready: 100, stable: 1, panic: 1, want: 90,
		},
		{name: "panic takes precedence", target: 10, ready: 1, stable: 50, panic: 100, want: 10},
		{name: "up by the rate at most", target: 10, ready: 1, stable: 1000, panic: 1001, want: 10},
		{name: "down by the rate at most", target: 10, ready: 100, stable: 1, panic: 1, want: 10},
		{name: "no ready pod counts as one", target: 10, ready: 0, stable: 1000, panic: 888, want: 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKPA(test.target, 0, 1, now)
			k.maxScaleUpRate, k.maxScaleDownRate = 10, 10
			if test.prepare != nil {
				test.prepare(k)
			}
			if got := k.scale(now, test.ready, test.stable, test.panic); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// moment is what the autoscaler is shown at a time, and what it must want.
type moment struct {
	after         time.Duration
	ready         int
	stable, panic float64
	want          int
}

// TestKPASequence holds it to those of Knative's tests that are stories.
func TestKPASequence(t *testing.T) {
	for _, test := range []struct {
		name    string
		target  float64
		delay   time.Duration
		prepare func(*kpa)
		moments []moment
	}{
		{name: "TestAutoscalerPanicThenUnPanicScaleDown", target: 10, moments: []moment{
			{0, 1, 100, 100, 10},
			{0, 10, 100, 1000, 100},
			{30 * time.Second, 10, 1, 1, 100},
			{61 * time.Second, 10, 1, 1, 1},
		}},
		{name: "TestAutoscalerUnpanicAfterSlowIncrease", target: 1, moments: []moment{
			{0, 10, 11, 25, 25},
			{30 * time.Second, 40, 30, 41, 41},
			{62 * time.Second, 55, 50, 56, 50},
		}},
		{name: "TestAutoscalerExtendPanicWindow", target: 1, moments: []moment{
			{0, 10, 11, 25, 25},
			{30 * time.Second, 40, 30, 80, 80},
			{89 * time.Second, 80, 1, 1, 80},
		}},
		{
			name: "TestAutoscalerScaleDownDelay", target: 10, delay: 5 * time.Minute,
			prepare: func(k *kpa) { k.panicThreshold = 100 },
			moments: []moment{
				{2 * time.Second, 0, 40, 40, 4},
				{5 * time.Minute, 0, 0, 0, 4},
				{5*time.Minute + 2*time.Second, 0, 0, 0, 0},
				{9 * time.Minute, 0, 40, 40, 4},
				{10 * time.Minute, 0, 30, 30, 4},
				{11 * time.Minute, 0, 0, 0, 4},
				{14 * time.Minute, 0, 0, 0, 3},
				{15 * time.Minute, 0, 0, 0, 0},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := time.Unix(1_000_000, 0)
			k := newKPA(test.target, test.delay, 1, start)
			k.maxScaleUpRate, k.maxScaleDownRate = 10, 10
			if test.prepare != nil {
				test.prepare(k)
			}
			for _, m := range test.moments {
				if got := k.scale(start.Add(m.after), m.ready, m.stable, m.panic); got != m.want {
					t.Fatalf("after %v: got %d, want %d", m.after, got, m.want)
				}
			}
		})
	}
}

// TestKPAStartsInPanic: more than one ready pod are kept for a stable window.
func TestKPAStartsInPanic(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for ready, want := range []int{1, 1, 2, 3} {
		k := newKPA(10, 0, ready, start)
		if got := k.scale(start.Add(10*time.Second), ready, 1, 1); got != want {
			t.Errorf("with %d ready pods at the start: got %d, want %d", ready, got, want)
		}
	}
}

// TestAverages follows the comment of WindowAverage in pkg/autoscaler/aggregation/bucketing.go.
func TestAverages(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, test := range []struct {
		name    string
		written map[int]float64 // by second
		at      int
		want    float64
		empty   bool
	}{
		{name: "a window that is full", written: map[int]float64{0: 90, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6}, at: 6, want: 3.5},
		{name: "one that is not yet full", written: map[int]float64{0: 3, 1: 5}, at: 1, want: 4},
		{name: "nothing written lately: the rest of the window", written: map[int]float64{0: 9, 1: 9, 2: 9, 3: 3, 4: 3, 5: 3}, at: 8, want: 3},
		{name: "a gap counts 0", written: map[int]float64{0: 6, 5: 6}, at: 5, want: 2},
		{name: "a gap as long as the window begins anew", written: map[int]float64{0: 6, 6: 4}, at: 6, want: 4},
		{name: "nothing in the window", written: map[int]float64{0: 6}, at: 6, want: 0},
		{name: "empty", written: map[int]float64{0: 6}, at: 7, want: 0, empty: true},
		{name: "never written", at: 0, want: 0, empty: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAverages(6)
			for second := range 10 {
				if v, ok := test.written[second]; ok {
					a.record(start.Add(time.Duration(second)*time.Second), v)
				}
			}
			at := start.Add(time.Duration(test.at) * time.Second)
			if got := a.empty(at); got != test.empty {
				t.Errorf("empty is %v, want %v", got, test.empty)
			}
			if test.empty {
				return
			}
			if got := a.average(at); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
