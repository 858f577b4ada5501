package policy

import (
	"strings"
	"testing"
	"time"
)

// A raise stops at what can be placed and may wait.
func TestRaiseStopsAtWhatCanBePlaced(t *testing.T) {
	c := newCluster(t, 6, map[string]string{"max-replicas": "50", "target.running-requests": "10", "max-pending": "1"})
	c.places, c.knows = 8, true
	d := c.tick(c.look(running(20)))
	if d.Desired != 9 || d.Reason != UnschedulablePods {
		t.Errorf("%d %s, want 9 Unschedulable (%s)", d.Desired, d.Reason, d.Message())
	}
	for _, want := range []string{"12 are wanted", "6 placed", "6 short of nvidia.com/gpu"} {
		if !strings.Contains(d.Message(), want) {
			t.Errorf("%q does not say %q", d.Message(), want)
		}
	}
}

// Where it is not known what can be placed, what turns out unschedulable beyond what may wait goes back on the next tick, and more is tried
// after pauses that grow.
func TestProbingWhenFreeIsUnknown(t *testing.T) {
	c := newCluster(t, 8, map[string]string{"max-replicas": "50", "target.running-requests": "10", "max-pending": "1"})
	c.places = 8
	c.expect("12 are tried, 9 stay", running(15), 12, 9, 9, 9, 9, 9)
	c.places = 9
	c.expect("a minute later one is placed: 11 are tried, 10 stay", running(12), 11, 10)
	c.places = 50
	c.expect("room: within two minutes one at a time", running(12), 11, 12, 13)
}

// With max-pending 0 nothing waits, and what could be placed is found out by trying: after 1, 2, 4 minutes.
func TestProbingBacksOff(t *testing.T) {
	c := newCluster(t, 8, map[string]string{"max-replicas": "50", "target.running-requests": "10", "max-pending": "0"})
	c.places = 8
	var tries []int
	for i := range 60 {
		if got := c.run(1, running(15))[0]; got > 8 {
			tries = append(tries, i)
		}
	}
	want := []int{0, 5, 14, 31}
	if len(tries) != len(want) {
		t.Fatalf("tried at ticks %v, want %v", tries, want)
	}
	for i := range want {
		if tries[i] != want[i] {
			t.Errorf("tried at ticks %v, want %v", tries, want)
			break
		}
	}
}

// All wait for capacity-wait, so that a cluster autoscaler sees the whole need, and one after it.
func TestCapacityWait(t *testing.T) {
	c := newCluster(t, 8, map[string]string{"max-replicas": "50", "target.running-requests": "10", "capacity-wait": "1m"})
	c.places, c.knows = 8, true
	c.expect("all wait, then one", running(15), 12, 12, 12, 12, 9, 9, 9)
}

// What waits is given back when the placed replicas have been enough for 30 s, outside windows and rates, and never a placed one.
func TestSurplusIsGivenBack(t *testing.T) {
	c := newCluster(t, 8, map[string]string{
		"max-replicas": "50", "target.running-requests": "10", "scale-down.stabilization": "1h", "scale-down.policies": "1 pods/10m",
	})
	c.places, c.knows = 8, true
	c.expect("12 are wanted", running(15), 12, 12)
	c.expect("demand falls: 6 are enough", running(7), 12, 12, 8, 8)
	c = newCluster(t, 8, map[string]string{"max-replicas": "50", "target.running-requests": "10"})
	c.places, c.knows = 8, true
	c.expect("12 are wanted", running(15), 12)
	c.edit = func(o *Observation) { o.Readings[0].Problem = NoData }
	c.expect("without data nothing is given back", running(0), 12, 12, 12, 12)
}

// A replica without a pod is on its way, until a quota says otherwise or 30 s are over.
func TestReplicasWithoutPods(t *testing.T) {
	without := func(refused bool) func(o *Observation) {
		return func(o *Observation) { o.Pods, o.Refused = o.Pods[:2], refused }
	}
	c := newCluster(t, 2, map[string]string{"max-replicas": "50", "target.running-requests": "10", "max-pending": "1"})
	c.expect("raised", running(25), 5)
	c.edit = without(false)
	c.expect("the pods do not come: at 30 s they are unschedulable", running(25), 5, 3, 3)
	c = newCluster(t, 2, map[string]string{"max-replicas": "50", "target.running-requests": "10", "max-pending": "1"})
	c.expect("raised", running(25), 5)
	c.edit = without(true)
	c.expect("a quota refuses them", running(25), 3, 3)
}

// A pod that was deleted and is not there again yet is no lack of capacity.
func TestADeletedPodIsNoShortage(t *testing.T) {
	c := newCluster(t, 4, map[string]string{"max-replicas": "50", "target.running-requests": "10", "max-pending": "0"})
	c.expect("steady", running(10), 4, 4, 4, 4)
	c.edit = func(o *Observation) { o.Pods = o.Pods[:3] }
	c.expect("one is gone for a moment", running(10), 4)
	c.now = c.now.Add(-time.Second)
	c.edit = nil
	c.expect("and back", running(10), 4)
}
