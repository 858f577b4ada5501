package explain

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// texts are the changes of a story.
func texts(s *Story) []string {
	var list []string
	for _, c := range s.Changes {
		list = append(list, c.Text)
	}
	return list
}

// TestChanges: what is found in worlds that can be reckoned by hand.
func TestChanges(t *testing.T) {
	queue := map[string]string{"max-replicas": "8", "target.queue-depth": "5", "scale-up.stabilization": "45s"}
	for name, c := range map[string]struct {
		annotations map[string]string
		values      map[policy.Signal]float64
		edit        func(*policy.Input)
		want        []string
	}{
		"within tolerance": {
			queue, map[policy.Signal]float64{policy.QueueDepth: 5}, nil,
			// 22 are within tolerance of 20. The window of 45 s holds the recommendation of a tick ago until then.
			[]string{
				"+3 waiting requests in all (queue-depth from 5 to 5.75 per replica) for 30 s -> 5 replicas",
				"-5 waiting requests in all (queue-depth from 5 to 3.75 per replica) for 4m45s -> 3 replicas",
			},
		},
		"a raise at once": {
			map[string]string{"max-replicas": "8", "target.gpu-utilization": "50"}, map[policy.Signal]float64{policy.GPUUtilization: 80}, nil,
			[]string{
				"gpu-utilization at 87.6 instead of 80 percent -> 8 replicas at once, instead of 7",
				"gpu-utilization at 75 instead of 80 percent -> 6 replicas at once, instead of 7",
			},
		},
		"held by the window": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10"}, map[policy.Signal]float64{policy.RunningRequests: 7}, nil,
			[]string{
				"no change of the readings, in 4m45s -> 3 replicas at 08:04:45Z",
				"+3 running requests in all (running-requests from 7 to 7.75 per replica) for 4m45s -> still 4 replicas, instead of 3",
				"+17 running requests in all (running-requests from 7 to 11.25 per replica) -> 5 replicas at once",
				"-8 running requests in all (running-requests from 7 to 5 per replica) for 4m45s -> 2 replicas, instead of 3",
			},
		},
		"a pod without a sample": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10"}, map[policy.Signal]float64{policy.RunningRequests: 14},
			func(in *policy.Input) { in.Seen.Readings[0].Samples[3].OK = false },
			[]string{
				"+3 running requests in all (running-requests from 14 to 15 per replica) -> 5 replicas at once",
				"-22 running requests in all (running-requests from 14 to 6.666 per replica) for 4m45s -> 3 replicas",
				"samples of running-requests from the 1 pod without, reading as the others do (14) -> 6 replicas at once",
			},
		},
		"no GPUs left": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10", "max-pending": "0"}, map[policy.Signal]float64{policy.RunningRequests: 14},
			func(in *policy.Input) { in.Seen.FreeKnown = true },
			[]string{
				"-26 running requests in all (running-requests from 14 to 7.5 per replica) for 4m45s -> 3 replicas",
				"GPUs for 1 more pod -> 5 replicas at once",
			},
		},
		"a signal that is gone": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10"}, nil, nil,
			[]string{
				"samples of running-requests from all ready pods again, reading 11.25 -> 5 replicas at once",
				"samples of running-requests from all ready pods again, reading 7.5 for 4m45s -> 3 replicas",
			},
		},
		"paused": {
			map[string]string{"max-replicas": "8", "target.gpu-utilization": "50", "paused": "true"},
			map[policy.Signal]float64{policy.GPUUtilization: 80}, nil, nil,
		},
	} {
		in := calm(parse(t, c.annotations), 4, c.values)
		if c.edit != nil {
			c.edit(&in)
		}
		s := Of(&in)
		if got := texts(&s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s\ngot  %s\nwant %s", name, s.Summary, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

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
	for seed := range uint64(400) {
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
	if checked < 300 {
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

// TestSignals: how old the samples are, and who has none.
func TestSignals(t *testing.T) {
	in := calm(parse(t, map[string]string{"max-replicas": "8", "target.running-requests": "10"}), 7, map[policy.Signal]float64{policy.RunningRequests: 9})
	samples := in.Seen.Readings[0].Samples
	samples[1].Time = testStart.Add(-61 * time.Second)
	samples[2].Time = testStart.Add(-2 * time.Minute)
	samples[3].OK = false
	in.Seen.Pods[4].Phase, in.Seen.Pods[4].Served = policy.Loading, false
	s := Of(&in).Signals[0]
	if got := s.Age(in.Time); got != "4 s to 1m1s" {
		t.Errorf("age %q", got)
	}
	if got := s.Lacks(); got != "no sample of llm-3; too old a sample of llm-2" {
		t.Errorf("lacks %q", got)
	}
	if s.Sampled != 4 || s.Missing != 2 || s.Source != "test:running-requests" || *s.Value != 9 {
		t.Errorf("%+v", s)
	}
	samples[0].Time = time.Time{}
	s = Of(&in).Signals[0]
	if got := s.Age(in.Time); got != "at most 1m30s" || !s.Oldest.IsZero() {
		t.Errorf("age %q", got)
	}
}

// TestMeanings: every reason has words.
func TestMeanings(t *testing.T) {
	for _, r := range policy.Reasons() {
		if Meaning(r) == string(r) {
			t.Errorf("%s has no words", r)
		}
	}
	if got := Meaning("New"); got != "New" {
		t.Errorf("%q", got)
	}
}

// TestManyPods: with a thousand pods and the longest windows the work stays bounded.
func TestManyPods(t *testing.T) {
	spec := parse(t, map[string]string{
		"max-replicas": "2000", "target.running-requests": "10", "target.gpu-utilization": "75",
		"scale-down.stabilization": "1h", "scale-up.stabilization": "1h",
	})
	in := calm(spec, 1000, map[policy.Signal]float64{policy.RunningRequests: 9.5, policy.GPUUtilization: 70, policy.QueueDepth: 1})
	began := time.Now()
	s := Of(&in)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if s.Horizon < 3600 || len(s.Changes) == 0 {
		t.Errorf("horizon %v, changes %v", s.Horizon, texts(&s))
	}
}
