package policy

import (
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
