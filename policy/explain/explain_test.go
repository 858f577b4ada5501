package explain

import (
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
			queue,
			map[policy.Signal]float64{policy.QueueDepth: 5},
			nil,
			// 22 are within tolerance of 20. The window of 45 s holds the recommendation of a tick ago until then.
			[]string{
				"+3 waiting requests in all (queue-depth from 5 to 5.75 per replica) for 30 s -> 5 replicas",
				"-5 waiting requests in all (queue-depth from 5 to 3.75 per replica) for 4m45s -> 3 replicas",
			},
		},
		"a raise at once": {
			map[string]string{"max-replicas": "8", "target.gpu-utilization": "50"},
			map[policy.Signal]float64{policy.GPUUtilization: 80},
			nil,
			[]string{
				"gpu-utilization at 87.6 instead of 80 percent -> 8 replicas at once, instead of 7",
				"gpu-utilization at 75 instead of 80 percent -> 6 replicas at once, instead of 7",
			},
		},
		"held by the window": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10"},
			map[policy.Signal]float64{policy.RunningRequests: 7},
			nil,
			[]string{
				"no change of the readings, in 4m45s -> 3 replicas at 08:04:45Z",
				"+3 running requests in all (running-requests from 7 to 7.75 per replica) for 4m45s -> still 4 replicas, instead of 3",
				"+17 running requests in all (running-requests from 7 to 11.25 per replica) -> 5 replicas at once",
				"-8 running requests in all (running-requests from 7 to 5 per replica) for 4m45s -> 2 replicas, instead of 3",
			},
		},
		"a pod without a sample": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10"},
			map[policy.Signal]float64{policy.RunningRequests: 14},
			func(in *policy.Input) { in.Seen.Readings[0].Samples[3].OK = false },
			[]string{
				"+3 running requests in all (running-requests from 14 to 15 per replica) -> 5 replicas at once",
				"-22 running requests in all (running-requests from 14 to 6.666 per replica) for 4m45s -> 3 replicas",
				"samples of running-requests from the 1 pod without, reading as the others do (14) -> 6 replicas at once",
			},
		},
		"no GPUs left": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10", "max-pending": "0"},
			map[policy.Signal]float64{policy.RunningRequests: 14},
			func(in *policy.Input) { in.Seen.FreeKnown = true },
			[]string{
				"-26 running requests in all (running-requests from 14 to 7.5 per replica) for 4m45s -> 3 replicas",
				"GPUs for 1 more pod -> 5 replicas at once",
			},
		},
		"a signal that is gone": {
			map[string]string{"max-replicas": "8", "target.running-requests": "10"},
			nil, nil,
			[]string{
				"samples of running-requests from all ready pods again, reading 11.25 -> 5 replicas at once",
				"samples of running-requests from all ready pods again, reading 7.5 for 4m45s -> 3 replicas",
			},
		},
		"paused": {
			map[string]string{"max-replicas": "8", "target.gpu-utilization": "50", "paused": "true"},
			map[policy.Signal]float64{policy.GPUUtilization: 80},
			nil, nil,
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

// TestSignals: how old the samples are, and who has none.
func TestSignals(t *testing.T) {
	in := calm(parse(t, map[string]string{"max-replicas": "8", "target.running-requests": "10"}), 7, map[policy.Signal]float64{policy.RunningRequests: 9})
	samples := in.Seen.Readings[0].Samples
	samples[1].Time = testStart.Add(-61 * time.Second)
	samples[2].Time = testStart.Add(-2 * time.Minute)
	samples[3].OK = false
	samples[0].Value, samples[2].Value, samples[5].Value = 7, 100, 11
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
	if s.Lowest != 7 || s.Highest != 11 {
		t.Errorf("spread %v to %v", s.Lowest, s.Highest)
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
	d, _ := in.Decide()
	if f := newFuture(&in, &d); f.ticks*len(in.Seen.Pods) > 50_000 {
		t.Errorf("%d ticks of %v are tried with %d pods", f.ticks, f.step, len(in.Seen.Pods))
	}
	s := Of(&in)
	if s.Horizon < 3600 || len(s.Changes) == 0 {
		t.Errorf("horizon %v, changes %v", s.Horizon, texts(&s))
	}
}

// BenchmarkOf is the story of a Deployment with two signals and 10 pods.
func BenchmarkOf(b *testing.B) {
	spec := parse(b, map[string]string{"max-replicas": "20", "target.queue-depth": "5", "target.gpu-utilization": "75"})
	in := calm(spec, 10, map[policy.Signal]float64{policy.QueueDepth: 4.5, policy.GPUUtilization: 70, policy.RunningRequests: 12})
	for b.Loop() {
		Of(&in)
	}
}
