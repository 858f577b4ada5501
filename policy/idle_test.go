package policy

import (
	"testing"
	"time"
)

const gateway = Signal("gateway-queue")

// sleeper is a Deployment that scales to zero, with a gateway's queue to wake it.
func sleeper(t *testing.T, replicas int, more ...string) (*cluster, *Sample) {
	annotations := map[string]string{
		"min-replicas": "0", "max-replicas": "10", "target.running-requests": "10", "scale-down.stabilization": "30s",
		"query.gateway-queue": "gateway", "activate-on": "gateway-queue > 0", "idle-after": "1m",
	}
	for i := 0; i < len(more); i += 2 {
		annotations[more[i]] = more[i+1]
	}
	c := newCluster(t, replicas, annotations)
	queue := &Sample{OK: true}
	c.edit = func(o *Observation) {
		sample := *queue
		sample.Time = c.now
		o.Readings = append(o.Readings, Reading{Signal: gateway, PerWorkload: true, Workload: sample})
		o.Hand = Hand{By: OurHand}
	}
	return c, queue
}

func TestScaleToZeroAndBack(t *testing.T) {
	c, queue := sleeper(t, 3)
	c.expect("at work", running(10), 3)
	c.expect("no work: by the window to 1, after idle-after to 0", running(0), 3, 1, 1, 1, 0)
	c.expect("asleep", nil, 0, 0, 0)
	queue.Value = 7
	d := c.tick(c.look(nil))
	if d.Desired != 1 || d.Reason != Activated {
		t.Errorf("%d %s, want 1 Activated in one tick", d.Desired, d.Reason)
	}
	c, queue = sleeper(t, 0, "target.gateway-queue", "2")
	queue.Value = 7
	c.expect("as many as the queue asks for", nil, 4)
	c, queue = sleeper(t, 0, "target.gateway-queue", "2", "max-replicas", "3")
	queue.Value = 7
	c.expect("the maximum holds", nil, 3)
}

// While anything is not known to be idle, nothing is taken for idle.
func TestAbsenceOfDataIsNotIdleness(t *testing.T) {
	for name, disturb := range map[string]func(o *Observation, queue *Sample){
		"the activation signal is missing":   func(o *Observation, queue *Sample) { queue.OK = false },
		"the activation signal reads 1":      func(o *Observation, queue *Sample) { queue.Value = 1 },
		"a signal is missing":                func(o *Observation, queue *Sample) { o.Readings[0].Problem = NoData },
		"a pod has no sample":                func(o *Observation, queue *Sample) { o.Readings[0].Samples[0].OK = false },
		"a pod works":                        func(o *Observation, queue *Sample) { o.Readings[0].Samples[0].Value = 0.001 },
		"the activation reading has no data": func(o *Observation, queue *Sample) { o.Readings = o.Readings[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			c, queue := sleeper(t, 1)
			plain := c.edit
			c.edit = func(o *Observation) { disturb(o, queue); plain(o) }
			if name == "the activation reading has no data" {
				c.edit = func(o *Observation) { plain(o); disturb(o, queue) }
			}
			c.expect("never zero", running(0), repeatInt(1, 12)...)
		})
	}
}

// One moment of work begins the wait anew.
func TestIdleThroughout(t *testing.T) {
	c, _ := sleeper(t, 1)
	c.expect("45 s without work", running(0), 1, 1, 1, 1)
	c.expect("a request", running(1), 1)
	c.expect("a full minute", running(0), 1, 1, 1, 1, 0)
}

func TestUtilizationBelowFivePercentIsIdle(t *testing.T) {
	for _, tt := range []struct {
		value float64
		last  int
	}{{4.9, 0}, {5, 1}} {
		c, _ := sleeper(t, 1, "target.gpu-utilization", "50")
		got := c.run(6, map[Signal]float64{GPUUtilization: tt.value, RunningRequests: 0})
		if got[5] != tt.last {
			t.Errorf("%v %%: %v, want %d at last", tt.value, got, tt.last)
		}
	}
}

// Memory that an engine keeps says nothing about work.
func TestIdleIgnoresMemory(t *testing.T) {
	c, _ := sleeper(t, 1, "target.gpu-memory", "99")
	c.expect("full memory", map[Signal]float64{GPUMemory: 90, RunningRequests: 0}, 1, 1, 1, 1, 0)
}

// Whose zero it is decides whether anything may raise from it.
func TestWhoseZero(t *testing.T) {
	for _, tt := range []struct {
		name string
		hand Hand
		want int
	}{
		{"ours", Hand{By: OurHand}, 1},
		{"the creator's", Hand{By: CreatorsHand}, 1},
		{"a person's", Hand{By: PersonsHand}, 0},
		{"not known", Hand{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, queue := sleeper(t, 0)
			queue.Value = 1
			plain := c.edit
			c.edit = func(o *Observation) { plain(o); o.Hand = tt.hand }
			c.expect("work is seen", nil, tt.want)
		})
	}
	c, queue := sleeper(t, 1)
	c.expect("asleep", running(0), 1, 1, 1, 1, 0)
	queue.Value = 1
	plain := c.edit
	c.edit = func(o *Observation) { plain(o); o.Hand = Hand{} }
	c.expect("not known, but remembered", nil, 1)
}

// At zero a signal that is missing wakes nobody, and a minimum does.
func TestAtZero(t *testing.T) {
	c, queue := sleeper(t, 0)
	queue.OK = false
	if d := c.tick(c.look(nil)); d.Desired != 0 || d.Reason != NoData {
		t.Errorf("%d %s, want 0 NoData", d.Desired, d.Reason)
	}
	c, _ = sleeper(t, 0, "schedule", "Mon 09:00-10:00 UTC min=2")
	c.expect("before the minimum", nil, 0)
	c.now = testStart.Add(time.Hour)
	c.expect("from nine o'clock", nil, 2)
}

// Scaling down that is disabled or paused, or held by a gap, goes for the last replica too.
func TestTheLastReplicaIsLoweredByTheSameRules(t *testing.T) {
	for key, value := range map[string]string{"scale-down.select-policy": "disabled", "paused": "down"} {
		c, _ := sleeper(t, 1, key, value)
		c.expect(key, running(0), repeatInt(1, 10)...)
	}
}
