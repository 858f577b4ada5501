package policy

import (
	"slices"
	"testing"
	"time"
)

// A startup is learned as the 90th percentile of the last ones, which a few odd ones do not move.
func TestStartupIsLearned(t *testing.T) {
	seconds := func(list ...int) (d []time.Duration) {
		for _, s := range list {
			d = append(d, time.Duration(s)*time.Second)
		}
		return d
	}
	for _, tt := range []struct {
		name     string
		took     []time.Duration
		p50, p90 time.Duration
	}{
		{"nothing yet", nil, 0, 0},
		{"one", seconds(40), 40 * time.Second, 40 * time.Second},
		{"nearest rank of ten", seconds(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 5 * time.Second, 9 * time.Second},
		{"two odd ones of twenty", seconds(40, 41, 42, 43, 44, 40, 41, 42, 43, 44, 40, 41, 42, 43, 44, 40, 41, 42, 3600, 5000), 42 * time.Second, 44 * time.Second},
		{"the last 32 count", append(seconds(slices.Repeat([]int{500}, 50)...), seconds(slices.Repeat([]int{20}, 32)...)...), 20 * time.Second, 20 * time.Second},
		{"what cannot be is left out", []time.Duration{-time.Second, 30 * 24 * time.Hour, 10 * time.Second}, 10 * time.Second, 10 * time.Second},
		{"parts of seconds are rounded up", []time.Duration{1500 * time.Millisecond}, 2 * time.Second, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Startups(nil).learn(tt.took)
			if s.quantile(50) != tt.p50 || s.quantile(90) != tt.p90 {
				t.Errorf("p50 %v p90 %v, want %v %v", s.quantile(50), s.quantile(90), tt.p50, tt.p90)
			}
		})
	}
}

// Startup is the annotation's, else what was learned, stretched by a pod that loads for longer, else five minutes.
func TestStartupEstimate(t *testing.T) {
	learned := State{Startups: Startups{60}}
	loading := func(age time.Duration, restarts int) Observation {
		return Observation{Replicas: 1, Pods: []Pod{{Phase: Loading, Scheduled: testStart.Add(-age), Restarts: restarts}}}
	}
	for _, tt := range []struct {
		name  string
		spec  Spec
		state State
		seen  Observation
		want  time.Duration
	}{
		{"annotated", Spec{Startup: time.Minute}, State{Startups: Startups{600}}, loading(time.Hour, 0), time.Minute},
		{"nothing known", Spec{}, State{}, loading(time.Hour, 0), 5 * time.Minute},
		{"learned", Spec{}, learned, Observation{}, time.Minute},
		{"a pod that loads for longer", Spec{}, learned, loading(100*time.Second, 0), 100 * time.Second},
		{"but not for ever", Spec{}, learned, loading(time.Hour, 0), 3 * time.Minute},
		{"nor one that restarted", Spec{}, learned, loading(100*time.Second, 1), time.Minute},
		{"a prompt pod is no yardstick", Spec{}, State{Startups: Startups{1}}, Observation{}, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.state.startup(&tt.spec, &tt.seen, testStart); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// What a pod counts for.
func TestWorth(t *testing.T) {
	ago := func(d time.Duration) time.Time { return testStart.Add(-d) }
	f := Fleet{Startup: time.Minute}
	for _, tt := range []struct {
		name string
		pod  Pod
		want worth
	}{
		{"Ready", Pod{Phase: Ready}, serving},
		{"just ceased to be Ready", Pod{Phase: Loading, Served: true, Since: ago(90 * time.Second), Scheduled: ago(time.Hour)}, serving},
		{"ceased long ago", Pod{Phase: Loading, Served: true, Since: ago(91 * time.Second), Scheduled: ago(2 * time.Minute)}, overdue},
		{"no node yet: age 0, however old", Pod{Phase: Loading, Since: ago(time.Hour)}, fresh},
		{"young", Pod{Phase: Loading, Scheduled: ago(89 * time.Second)}, credited},
		{"1.5 x startup", Pod{Phase: Loading, Scheduled: ago(90 * time.Second)}, overdue},
		{"restarted once", Pod{Phase: Loading, Scheduled: ago(time.Second), Restarts: 1}, credited},
		{"restarted twice", Pod{Phase: Loading, Scheduled: ago(time.Second), Restarts: 2}, overdue},
		{"unschedulable", Pod{Phase: Unschedulable}, waiting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := f.worth(&tt.pod, 90*time.Second, testStart); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// A pod that was overloaded until it failed its probe still shows its load: the others are not found idle because of it.
func TestOverloadDoesNotEraseItsEvidence(t *testing.T) {
	c := newCluster(t, 2, map[string]string{"max-replicas": "10", "target.running-requests": "10"})
	c.edit = func(o *Observation) {
		o.Pods[1].Phase, o.Pods[1].Served, o.Pods[1].Since = Loading, true, testStart
		o.Readings[0].Samples[1] = Sample{Value: 30, Time: testStart, OK: true}
	}
	d := c.tick(c.look(running(10))) // (10 + 30) / 10
	if d.Desired != 4 || d.Fleet.Ready != 2 {
		t.Errorf("%d with %d ready, want 4 with 2 (%s)", d.Desired, d.Fleet.Ready, d.Message())
	}
}

// Overdue pods are answered one at a time, so that a dead registry does not walk a workload to its maximum.
func TestOverduePodsAreAnsweredOneAtATime(t *testing.T) {
	for _, tt := range []struct {
		pending string
		want    []int
	}{
		{"", []int{3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}},
		{"2", []int{3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}},
	} {
		annotations := map[string]string{"max-replicas": "50", "target.running-requests": "10", "startup": "40s"}
		if tt.pending != "" {
			annotations["max-pending"] = tt.pending
		}
		c := newCluster(t, 2, annotations)
		c.broken = true
		c.expect("max-pending "+tt.pending, running(15), tt.want...)
	}
}

// A raise on utilization waits for what the last one brought, and then for samples that show it at work.
func TestUtilizationIsNotAnsweredTwice(t *testing.T) {
	c := newCluster(t, 2, map[string]string{"max-replicas": "50", "target.gpu-utilization": "50", "startup": "1m"})
	c.startup = time.Minute
	old := time.Duration(0)
	c.edit = func(o *Observation) {
		for i := range o.Readings[0].Samples {
			o.Readings[0].Samples[i].Time = c.now.Add(-old)
		}
	}
	c.expect("the first answer", util(80), 4)
	c.expect("while the new pods load, at full load", util(100), 4, 4, 4)
	old = 20 * time.Second
	c.expect("ready, and the samples are from before", util(100), 4, 4)
	old = 10 * time.Second
	c.expect("samples of all four", util(100), 8)
}

// With samples of unknown age the oldest that the query lets through counts.
func TestUtilizationWithSamplesOfUnknownAge(t *testing.T) {
	c := newCluster(t, 2, map[string]string{"max-replicas": "50", "target.gpu-utilization": "50", "startup": "1m"})
	c.edit = func(o *Observation) {
		for i := range o.Readings[0].Samples {
			o.Readings[0].Samples[i].Time = time.Time{}
		}
	}
	c.expect("ready at once", util(100), 4, 4, 4, 4, 4, 4, 4, 8)
}

// Overdue, unschedulable and deleted pods are not waited for.
func TestUtilizationDoesNotWaitForWhatDoesNotCome(t *testing.T) {
	c := newCluster(t, 2, map[string]string{"max-replicas": "50", "target.gpu-utilization": "50", "startup": "20s"})
	c.startup = time.Hour
	c.expect("2 load until they are overdue at 30 s; then the demand is answered again, and one of them", util(100), 4, 4, 5)
	c = newCluster(t, 2, map[string]string{"max-replicas": "50", "target.gpu-utilization": "50"})
	c.places = 2
	c.expect("2 cannot be placed", util(100), 4)
	c.expect("more demand is not held up by them", util(150), 6)
}

// Settling tells when exact times of samples matter.
func TestSettling(t *testing.T) {
	spec := Spec{MaxSampleAge: 90 * time.Second}
	s := State{Events: []ScaleEvent{{Change: 2, Time: testStart}, {Change: -1, Time: testStart.Add(time.Second)}}}
	ready := func(after time.Duration) []Pod { return []Pod{{Phase: Ready, Since: testStart.Add(after)}} }
	for _, tt := range []struct {
		state State
		pods  []Pod
		now   time.Duration
		want  bool
	}{
		{s, ready(time.Minute), 61 * time.Second, true},
		{s, ready(time.Minute), 151 * time.Second, false},
		{s, ready(-time.Minute), 90 * time.Second, true},
		{s, ready(-time.Minute), 91 * time.Second, false},
		{s, []Pod{{Phase: Loading, Since: testStart}}, 91 * time.Second, false},
		{State{}, ready(time.Minute), 61 * time.Second, false},
		{State{Fired: []Firing{{Time: testStart}}}, ready(time.Minute), 61 * time.Second, true},
	} {
		if got := tt.state.Settling(&spec, tt.pods, testStart.Add(tt.now)); got != tt.want {
			t.Errorf("%v %v %v: %v, want %v", tt.state, tt.pods, tt.now, got, tt.want)
		}
	}
}
