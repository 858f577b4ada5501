package rivals

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// The test module holds HPA and KEDA equal to Kubernetes' own code in random worlds; these are the few rules that make the difference.

var start = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// asked is a target of 10 running requests, 1 to 20 replicas and the HPA's defaults.
func asked(t *testing.T) policy.Spec {
	t.Helper()
	spec, problems := policy.Parse(map[string]string{
		policy.Prefix + "enabled": "true", policy.Prefix + "max-replicas": "20", policy.Prefix + "target.running-requests": "10",
	}, policy.Settings{Interval: Sync, MaxSampleAge: 90 * time.Second})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return spec
}

// seen are pods with a reading each; a negative one is none, on a pod that loads its model.
func seen(values ...float64) policy.Observation {
	o := policy.Observation{Replicas: len(values), Readings: []policy.Reading{{Signal: policy.RunningRequests}}}
	for i, v := range values {
		p, s := policy.Pod{Name: string(rune('a' + i)), Phase: policy.Ready}, policy.Sample{Value: v, OK: true}
		if v < 0 {
			p.Phase, s = policy.Loading, policy.Sample{}
		}
		o.Pods = append(o.Pods, p)
		o.Readings[0].Samples = append(o.Readings[0].Samples, s)
	}
	return o
}

func TestFirstDecision(t *testing.T) {
	for name, test := range map[string]struct {
		seen      policy.Observation
		hpa, keda int
	}{
		"more load":                {seen(20, 20), 4, 4},
		"within tolerance":         {seen(10.5, 10.9), 2, 2},
		"the window holds":         {seen(1, 1, 1, 1), 4, 4},
		"a pod that loads is idle": {seen(14, 14, -1), 3, 3},
		"no sample":                {seen(-1, -1), 2, 2},
		"switched off":             {policy.Observation{}, 0, 0},
	} {
		if d, _ := HPA(asked(t), policy.State{}, test.seen, start); d.Desired != test.hpa {
			t.Errorf("%s: the HPA wants %d replicas, want %d", name, d.Desired, test.hpa)
		}
		if d, _ := KEDA()(asked(t), policy.State{}, test.seen, start); d.Desired != test.keda {
			t.Errorf("%s: KEDA wants %d replicas, want %d", name, d.Desired, test.keda)
		}
	}
}

// KEDA goes by the last poll, takes an empty result for 0, and lowers when the window is over; the HPA holds without a metric.
func TestMetricsThatAreGone(t *testing.T) {
	spec, keda := asked(t), KEDA()
	var ofHPA, ofKEDA policy.State
	var hpas, kedas policy.Decision
	for i := range 30 {
		now := start.Add(time.Duration(i) * Sync)
		o := seen(10, 10, 10)
		if i > 0 {
			o = seen(-1, -1, -1)
		}
		hpas, ofHPA = HPA(spec, ofHPA, o, now)
		kedas, ofKEDA = keda(spec, ofKEDA, o, now)
		if i < 20 && kedas.Desired != 3 {
			t.Fatalf("KEDA lowers to %d after %v, want it to wait for the window of 5m", kedas.Desired, now.Sub(start))
		}
	}
	if hpas.Desired != 3 || kedas.Desired != 1 {
		t.Errorf("the HPA wants %d replicas and KEDA %d, want 3 and 1", hpas.Desired, kedas.Desired)
	}
}

func TestEvery(t *testing.T) {
	decide := Every(Sync, HPA)
	for i, want := range []int{4, 2, 2, 4} {
		if d, _ := decide(asked(t), policy.State{}, seen(20, 20), start.Add(time.Duration(i)*5*time.Second)); d.Desired != want {
			t.Errorf("after %d times 5 s %d replicas are wanted, want %d", i, d.Desired, want)
		}
	}
}
