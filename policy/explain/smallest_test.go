package explain

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// trial is an own reckoning of what comes of an input with another observation: the numbers of all ticks up to the first change.
func trial(in *policy.Input, seen policy.Observation, step time.Duration, ticks int) []int {
	var numbers []int
	state := in.State
	for tick := range ticks + 1 {
		ahead := step * time.Duration(tick)
		o := seen.Clone()
		if tick > 0 {
			o.Started = nil
		}
		for i := range o.Readings {
			r := &o.Readings[i]
			for j := range r.Samples {
				if !r.Samples[j].Time.IsZero() {
					r.Samples[j].Time = r.Samples[j].Time.Add(ahead)
				}
			}
		}
		var d policy.Decision
		d, state = policy.Decide(in.Spec, state, o, in.Time.Add(ahead))
		if numbers = append(numbers, d.Desired); d.Desired != in.Seen.Replicas {
			break
		}
	}
	return numbers
}

// TestSmallest: in random worlds what is found changes the outcome when it is said to, and a grain less does not.
func TestSmallest(t *testing.T) {
	checked := 0
	for seed := range uint64(150) {
		in := chaos(t, seed)
		before, _ := json.Marshal(in)
		s := Of(&in)
		if after, _ := json.Marshal(in); string(after) != string(before) {
			t.Fatalf("seed %d: the input was changed", seed)
		}
		d, _ := in.Decide()
		f := newFuture(&in, &d)
		c := checker{t: t, f: f, seed: seed, base: trial(&in, in.Seen, f.step, f.ticks), found: map[string]bool{}}
		for i := range s.Changes {
			switch s.Changes[i].Kind {
			case ByTime:
				c.time(&s.Changes[i])
			case BySignal:
				c.signal(&s.Changes[i])
				checked++
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d changes were found", checked)
	}
}

// checker holds what was found against an own reckoning.
type checker struct {
	t    *testing.T
	f    *future
	seed uint64
	base []int // what comes by itself
	// found are the signals and directions of which the least move was seen: the next one is that which moves the replicas.
	found map[string]bool
}

func (c *checker) tick(change *Change) int {
	return int(time.Duration(change.After*float64(time.Second)) / c.f.step)
}

func (c *checker) time(change *Change) {
	if tick := c.tick(change); tick != len(c.base)-1 || c.base[tick] != change.Replicas {
		c.t.Fatalf("seed %d: %s, but %v comes", c.seed, change.Text, c.base)
	}
}

// departs reports whether numbers are others than those that come by themselves.
func (c *checker) departs(numbers []int) bool {
	for tick := range min(len(numbers), len(c.base)) {
		if numbers[tick] != c.base[tick] {
			return true
		}
	}
	return false
}

// signal checks a change of a signal.
func (c *checker) signal(change *Change) {
	i := slices.IndexFunc(c.f.in.Seen.Readings, func(r policy.Reading) bool { return r.Signal == change.Signal })
	m := newMove(c.f.in, &c.f.in.Seen, i)
	direction, n := 1, 1
	if *change.To < *change.From || change.By != nil && *change.By < 0 {
		direction = -1
	}
	for ; ; n++ {
		if sum, ok := m.to(direction * n); !ok {
			c.t.Fatalf("seed %d: %s is not in the range of the signal", c.seed, change.Text)
		} else if m.shown(sum) == *change.To {
			break
		}
	}
	does, less := c.reckon(m, direction*n), c.base
	if n > 1 {
		less = c.reckon(m, direction*(n-1))
	}
	is := c.departs
	if key := string(change.Signal) + map[int]string{1: "+", -1: "-"}[direction]; c.found[key] {
		is = func(numbers []int) bool { return (numbers[len(numbers)-1]-c.f.in.Seen.Replicas)*direction > 0 }
	} else {
		c.found[key] = true
	}
	if tick := c.tick(change); tick >= len(does) || does[tick] != change.Replicas || !is(does) || is(less) {
		c.t.Fatalf("seed %d: %s, but %v comes, a grain less %v, by itself %v", c.seed, change.Text, does, less, c.base)
	}
}

// reckon is what comes of so many grains.
func (c *checker) reckon(m *move, grains int) []int {
	sum, _ := m.to(grains)
	var o policy.Observation
	m.apply(sum, &o)
	return trial(c.f.in, o, c.f.step, c.f.ticks)
}
