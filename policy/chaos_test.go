package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// chaos is a cluster in which everything happens at random.
type chaos struct {
	*cluster
	r *rand.Rand
	// blind says that the tick has no trustworthy data of all signals.
	blind bool
}

func newChaos(t *testing.T, seed uint64) *chaos {
	r := rand.New(rand.NewPCG(seed, 3))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	annotations := map[string]string{
		"min-replicas": pick("1", "2"), "max-replicas": pick("9", "30"),
		"target." + pick("running-requests", "gpu-utilization", "queue-depth", "tokens-per-second"): pick("10", "40"),
		"scale-down.stabilization": pick("0s", "1m", "5m"), "scale-up.policies": pick("4 pods/15s, 100%/15s", "2 pods/1m"),
		"scale-down.policies": pick("100%/15s", "1 pods/45s"), "startup": pick("auto", "30s", "2m"),
		"capacity-wait": pick("0s", "2m"), "override-hold": pick("0s", "1m"), "not-responding": pick("warn", "stop"),
	}
	if p := pick("", "0", "1", "3", "all"); p != "" {
		annotations["max-pending"] = p
	}
	c := &chaos{cluster: newCluster(t, 2+r.IntN(4), annotations), r: r}
	c.knows, c.places, c.startup = r.IntN(2) == 0, 3+r.IntN(20), time.Duration(r.IntN(120))*time.Second
	return c
}

// happen changes the world and makes the next observation.
func (c *chaos) happen() Observation {
	r := c.r
	if r.IntN(10) == 0 {
		c.places = r.IntN(25)
	}
	if r.IntN(20) == 0 {
		c.broken = !c.broken
	}
	hand := Hand{By: OurHand, Time: c.now}
	if r.IntN(25) == 0 {
		c.replicas = r.IntN(12)
		hand = Hand{By: HandKind(r.IntN(5)), Manager: "someone", Time: c.now}
	}
	values := map[Signal]float64{}
	for _, s := range []Signal{RunningRequests, GPUUtilization, QueueDepth, TokensPerSecond, RequestsPerSecond} {
		if r.IntN(4) > 0 {
			values[s] = float64(r.IntN(3)) * r.Float64() * 50
		}
	}
	c.blind = false
	c.edit = func(o *Observation) {
		o.Hand = hand
		o.Rollout = r.IntN(15) == 0
		if r.IntN(15) == 0 {
			o.CrashLoop = "CrashLoopBackOff"
		}
		if r.IntN(15) == 0 {
			c.pods = c.pods[:len(c.pods)/2] // evicted
		}
		for i := range o.Readings {
			c.disturb(&o.Readings[i])
		}
	}
	return c.look(values)
}

// disturb takes data away.
func (c *chaos) disturb(r *Reading) {
	switch c.r.IntN(12) {
	case 0:
		r.Problem = NoData
	case 1:
		r.Problem = PartialData
	case 2:
		for i := range r.Samples {
			r.Samples[i].Time = c.now.Add(-time.Hour)
		}
	case 3:
		for i := range r.Samples {
			r.Samples[i].OK = r.Samples[i].OK && c.r.IntN(2) == 0
		}
	}
}

// In any world: the same input gives the same output, and the promises of safety hold.
func TestPromises(t *testing.T) {
	for seed := range uint64(150) {
		c := newChaos(t, seed)
		for tick := range 200 {
			o := c.happen()
			before := c.state
			written, _ := json.Marshal(before)
			d, next := Decide(c.spec, c.state, o, c.now)
			again, nextAgain := Decide(c.spec, c.state, o, c.now)
			where := fmt.Sprintf("seed %d tick %d: %d -> %d %s (%s)", seed, tick, d.Current, d.Desired, d.Reason, d.Message())
			if !reflect.DeepEqual(d, again) || !reflect.DeepEqual(next, nextAgain) {
				t.Fatalf("%s: not deterministic", where)
			}
			if after, _ := json.Marshal(before); string(after) != string(written) {
				t.Fatalf("%s: the State given was changed", where)
			}
			c.check(where, &d, &next)
			var restored State
			text, err := json.Marshal(next.Wrote(d, c.now))
			if err == nil {
				err = json.Unmarshal(text, &restored)
			}
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			// A write fails now and then.
			if c.r.IntN(10) > 0 {
				c.state, c.replicas = next.Wrote(d, c.now), d.Desired
			} else {
				c.state = next
			}
			if c.r.IntN(30) == 0 {
				c.state = restored
			}
			c.sync()
			c.now = c.now.Add(testInterval)
		}
	}
}

// check holds the promises against one decision.
func (c *chaos) check(where string, d *Decision, next *State) {
	t := c.t
	switch {
	case d.Current == 0:
		if d.Desired != 0 && d.Reason != ReplicasReset && d.Reason != TooFewReplicas {
			t.Fatalf("%s: raised from a zero that nobody meant to be left", where)
		}
		return
	case d.Reason == Conflict:
		if d.Desired != d.Current {
			t.Fatalf("%s: written in a conflict", where)
		}
		return
	case d.Desired < c.spec.MinReplicas || d.Desired > c.spec.MaxReplicas:
		t.Fatalf("%s: out of bounds", where)
	}
	if d.Current < c.spec.MinReplicas || d.Current > c.spec.MaxReplicas || d.Reason == TooFewReplicas {
		return // a jump to the bounds
	}
	c.checkData(where, d)
	if d.Reason == ReplicasReset || next.Hands.Restore > 0 {
		return
	}
	c.checkPlaces(where, d)
	c.checkBudget(where, d, next.Events)
}

// checkData: nothing is lowered while a signal has no data to be trusted.
func (c *chaos) checkData(where string, d *Decision) {
	for i := range d.Signals {
		if s := &d.Signals[i]; d.Desired < d.Current && s.incomplete() {
			c.t.Fatalf("%s: lowered although %s is %s", where, s.Signal, s.Reason)
		}
	}
}

// checkPlaces: a raise never makes more pods wait than may, where it is known what can be placed.
func (c *chaos) checkPlaces(where string, d *Decision) {
	if d.Desired <= d.Current || !c.knows || c.spec.MaxPending == nil || d.Reason == Override {
		return
	}
	placed := min(d.Fleet.Placed(), d.Current)
	free := 0
	for _, p := range c.pods {
		if p.Phase != Unschedulable {
			free--
		}
	}
	free = max(free+c.places, 0)
	if most := placed + free + *c.spec.MaxPending; d.Desired > most {
		c.t.Fatalf("%s: %d placed, %d free and %d allowed to wait", where, placed, free, *c.spec.MaxPending)
	}
}

// checkBudget: what is not given back keeps within the budget of each direction.
func (c *chaos) checkBudget(where string, d *Decision, events []ScaleEvent) {
	switch {
	case d.Desired > d.Current && d.Reason != Override:
		if !withinBudget(c.spec.ScaleUp, events, d.Current, d.Desired, +1, c.now) {
			c.t.Fatalf("%s: past the budget (%v)", where, events)
		}
	case d.Desired < min(d.Current, d.Fleet.Placed()+d.Fleet.Fresh) && d.Reason != Override:
		if !withinBudget(c.spec.ScaleDown, events, d.Current, d.Desired, -1, c.now) {
			c.t.Fatalf("%s: past the budget (%v)", where, events)
		}
	}
}
