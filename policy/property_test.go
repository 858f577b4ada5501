package policy

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Over random rules and readings: within bounds, never lowered on missing data, never past the budget of any policy.
func TestProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := randomWorld(t, r)
		w.replicas = min(max(w.replicas, w.spec.MinReplicas), w.spec.MaxReplicas)
		for range 150 {
			values := make([]float64, w.replicas)
			sampled := 0
			for i := range values {
				values[i] = r.Float64() * 100
				if r.IntN(4) == 0 {
					values[i] = none
				} else {
					sampled++
				}
			}
			events := w.state.Events
			before, now := w.replicas, w.now
			d := w.tick(w.seen(values...))
			switch {
			case d.Desired < w.spec.MinReplicas || d.Desired > w.spec.MaxReplicas:
				t.Fatalf("seed %d: %d is out of bounds", seed, d.Desired)
			case d.Desired < before && 2*sampled < before:
				t.Fatalf("seed %d: lowered from %d to %d with %d samples", seed, before, d.Desired, sampled)
			case d.Desired > before && !withinBudget(w.spec.ScaleUp, events, before, d.Desired, +1, now):
				t.Fatalf("seed %d: raised from %d to %d past the budget (events %v)", seed, before, d.Desired, events)
			case d.Desired < before && !withinBudget(w.spec.ScaleDown, events, before, d.Desired, -1, now):
				t.Fatalf("seed %d: lowered from %d to %d past the budget (events %v)", seed, before, d.Desired, events)
			}
		}
	}
}

// withinBudget is the limit written a second time, in the words of the HPA's documentation: a policy allows its value on top of the
// replicas that there were when its period began.
func withinBudget(rules Rules, events []ScaleEvent, from, to, direction int, now time.Time) bool {
	allowed := make([]bool, len(rules.Policies))
	for i, p := range rules.Policies {
		start := from
		for _, e := range events {
			if now.Sub(e.Time) < p.Period {
				start -= e.Change
			}
		}
		change := float64(p.Value)
		if p.Type == Percent {
			change = float64(start) * float64(p.Value) / 100
		}
		// Rounding may add one replica at the most.
		allowed[i] = float64((to-start)*direction) < change+1
	}
	any, all := false, true
	for _, ok := range allowed {
		any, all = any || ok, all && ok
	}
	if rules.SelectPolicy == MinChange {
		return all
	}
	return any
}

// The recommendation of a single target is monotone: a higher reading never asks for fewer replicas.
func TestMonotone(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		w := randomWorld(t, r)
		a, b := r.Float64()*100, r.Float64()*100
		low, _ := Decide(w.spec, w.state, w.seen(min(a, b)), w.now)
		high, _ := Decide(w.spec, w.state, w.seen(max(a, b)), w.now)
		if high.Recommended.Replicas < low.Recommended.Replicas {
			t.Fatalf("%v asks for %d, %v for %d", min(a, b), low.Recommended.Replicas, max(a, b), high.Recommended.Replicas)
		}
	}
}

// FuzzDecide feeds a State of any bytes and any reading: no panic, and the outcome within bounds.
func FuzzDecide(f *testing.F) {
	f.Add([]byte(`{}`), 50.0, 3, int64(0), uint8(0))
	f.Add([]byte(`{"newest":{"replicas":-9,"time":"9999-01-01T00:00:00Z"},"past":[{"replicas":1000000}],"events":[{"change":2147483647}]}`), math.Inf(1), 1, int64(1), uint8(3))
	f.Add([]byte(`{"badSince":"0001-01-01T00:00:00Z","gapEnd":"2026-01-01T00:00:00Z","fired":[{"signal":"x"}]}`), math.NaN(), 40, int64(math.MaxInt64), uint8(255))
	f.Add([]byte(`{"newest":{"replicas":4,"time":"2026-01-05T07:59:00Z"},"seen":"2026-01-05T07:59:50Z","startups":[-5,99999999999,40],
		"shortage":{"since":"2026-01-05T07:00:00Z","tries":99,"until":"2036-01-05T07:00:00Z","enough":"2026-01-01T00:00:00Z"},
		"hands":{"replicas":-3,"since":"2026-01-05T07:00:00Z","override":{"replicas":-7,"raised":true,"until":"2027-01-01T00:00:00Z"},"restore":-2,"resets":["2026-01-05T07:30:00Z"],"stoppedUntil":"2026-01-05T07:00:00Z"},
		"trial":{"signal":"gpu-utilization","value":-1,"replicas":-1,"time":"2026-01-05T07:00:00Z"},"deaf":{"signal":"gpu-utilization","raises":-9},
		"idleSince":"2020-01-01T00:00:00Z","stuck":[{"pod":"0","time":"0001-01-01T00:00:00Z"}],"served":[{"pod":"0"}]}`), 90.0, 4, int64(0), uint8(0b1001))
	f.Fuzz(func(t *testing.T, text []byte, value float64, replicas int, seconds int64, phases uint8) {
		var state State
		if json.Unmarshal(text, &state) != nil {
			return
		}
		replicas = min(max(replicas, 0), 1000)
		w := world{replicas: replicas, now: testStart.Add(time.Duration(seconds % (1 << 40))), spec: mustParse(t, map[string]string{
			"min-replicas": "2", "max-replicas": "50", "target.gpu-utilization": "50", "steps.running-requests": ">10:+3",
		})}
		o := w.seen(value)
		for i := range o.Pods {
			p := &o.Pods[i]
			p.Phase = Phase(phases>>(i%4*2)) % 3
			p.Served, p.Restarts, p.Scheduled = i%3 == 0, i%4, w.now.Add(-time.Duration(i%7)*time.Minute)
		}
		o.Hand.By, o.FreeKnown, o.Free, o.Refused = HandKind(phases%5), phases%2 == 0, int(phases%16), phases%3 == 0
		o.Rollout, o.Started = phases%7 == 0, []time.Duration{time.Duration(seconds)}
		d, next := Decide(w.spec, state, o, w.now)
		if replicas > 0 && (d.Desired < 2 || d.Desired > 50) {
			t.Fatalf("%d is out of bounds (%s)", d.Desired, d.Message())
		}
		if _, err := json.Marshal(next.Wrote(d, w.now)); err != nil && seconds < 1<<33 {
			t.Fatal(err)
		}
	})
}
