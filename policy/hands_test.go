package policy

import (
	"strings"
	"testing"
	"time"
)

// hand has someone set the replicas before the next observation.
func (c *cluster) hand(by HandKind, manager string, replicas int) {
	c.replicas = replicas
	h := Hand{By: by, Manager: manager, Time: c.now}
	c.edit = func(o *Observation) { o.Hand = h }
}

func hands(t *testing.T, more ...string) *cluster {
	annotations := map[string]string{
		"max-replicas": "20", "target.running-requests": "10", "scale-down.stabilization": "0s", "override-hold": "1m", "scale-up.policies": "1 pods/15s",
	}
	for i := 0; i < len(more); i += 2 {
		annotations[more[i]] = more[i+1]
	}
	return newCluster(t, 4, annotations)
}

func TestPersonsChangeIsRespected(t *testing.T) {
	c := hands(t)
	c.expect("before", running(10), 4)
	c.hand(PersonsHand, "kubectl", 6)
	c.expect("raised: a floor for a minute", running(1), 6, 6, 6, 6, 1)
	c = hands(t)
	c.expect("before", running(10), 4)
	c.hand(PersonsHand, "kubectl", 2)
	c.expect("lowered: a ceiling for a minute", running(20), 2, 2, 2, 2, 3)
	c = hands(t)
	c.expect("before", running(10), 4)
	c.hand(PersonsHand, "kubectl", 6)
	c.expect("raised, and more is needed", running(15), 7)
	c = hands(t)
	c.expect("before", running(10), 4)
	c.hand(PersonsHand, "kubectl", 25)
	d := c.tick(c.look(running(10)))
	if d.Desired != 20 || d.Reason != TooManyReplicas || !strings.Contains(d.Message(), "kubectl set 25 replicas") {
		t.Errorf("%d %s: the bounds win and it is told (%s)", d.Desired, d.Reason, d.Message())
	}
}

func TestZeroByAPersonStaysZero(t *testing.T) {
	for _, by := range []HandKind{PersonsHand, ResettingHand, NoHand} {
		c := hands(t)
		c.expect("before", running(10), 4)
		c.hand(by, "x", 0)
		d := c.tick(c.look(nil))
		if d.Desired != 0 || d.Reason != ScalingDisabled {
			t.Errorf("hand %d: %d %s, want 0 ScalingDisabled", by, d.Desired, d.Reason)
		}
		c.expect("and later", nil, 0, 0, 0, 0, 0)
	}
}

func TestResetIsUndone(t *testing.T) {
	c := hands(t, "scale-up.policies", "1 pods/10m", "scale-down.policies", "1 pods/10m")
	c.expect("before", running(10), 4)
	c.hand(ResettingHand, "helm", 1)
	d := c.tick(c.look(running(10)))
	if d.Desired != 4 || d.Reason != ReplicasReset || !strings.Contains(d.Message(), "helm reset the replicas from 4 to 1") {
		t.Errorf("%d %s, want 4 ReplicasReset (%s)", d.Desired, d.Reason, d.Message())
	}
	if len(c.state.Events) != 0 {
		t.Errorf("what is put back counts against the budgets: %v", c.state.Events)
	}
	c.edit = nil
	c.expect("steady", running(10), 4)
	c.hand(ResettingHand, "helm", 9)
	c.expect("raised by a reset: back at once", running(10), 4)
	c = hands(t)
	c.expect("before", running(10), 4)
	c.hand(ResettingHand, "helm", 9)
	hand := c.edit
	c.edit = func(o *Observation) { hand(o); o.Readings[0].Problem = NoData }
	c.expect("but nothing is lowered without data", running(10), 9)
}

func TestAFightIsEnded(t *testing.T) {
	c := hands(t)
	c.expect("before", running(10), 4)
	for i := range 2 {
		c.hand(ResettingHand, "argocd-controller", 2)
		c.expect("restored", running(10), 4)
		c.edit = nil
		c.expect("steady", running(10), 4)
		_ = i
	}
	c.hand(ResettingHand, "argocd-controller", 2)
	d := c.tick(c.look(running(20)))
	if d.Desired != 2 || d.Reason != Conflict || !strings.Contains(d.Message(), "argocd-controller") {
		t.Errorf("%d %s, want 2 Conflict that names it (%s)", d.Desired, d.Reason, d.Message())
	}
	c.expect("for an hour", running(20), repeatInt(2, 239)...)
	edited := *c
	edited.state = c.state.Edited()
	edited.expect("an edit of the annotations ends it", running(20), 3)
	c.expect("and then again", running(20), 3)
}

// Resets that are more than an hour apart are no fight.
func TestRareResetsAreNoFight(t *testing.T) {
	c := hands(t)
	c.expect("before", running(10), 4)
	for range 5 {
		c.hand(ResettingHand, "helm", 2)
		c.expect("restored", running(10), 4)
		c.edit = nil
		c.expect("steady", running(10), repeatInt(4, 130)...)
	}
}

// A write of another process of ours counts against the budgets from its time on.
func TestAnotherProcessOfOursWrote(t *testing.T) {
	c := hands(t, "scale-up.policies", "4 pods/1m")
	c.expect("before", running(10), 4)
	c.hand(OurHand, "gpuscaler", 7)
	c.expect("3 of 4 are spent, until a minute after that write", running(20), 8, 8, 8, 8, 12)
}

// What is not known is left as the HPA leaves it: no floor, no ceiling.
func TestAnUnknownHandIsIgnored(t *testing.T) {
	c := hands(t)
	c.expect("before", running(10), 4)
	c.hand(NoHand, "", 8)
	c.expect("lowered to what is needed", running(5), 4)
}

// After a stretch in which nobody decided nothing is lowered for a full window; budgets and windows that are still young go on.
func TestResume(t *testing.T) {
	annotations := map[string]string{"max-replicas": "20", "target.running-requests": "10", "scale-down.stabilization": "1m"}
	c := newCluster(t, 8, annotations)
	c.expect("a minute of less", running(5), 8, 8, 8, 8)
	c.now = c.now.Add(20 * time.Second) // a failover
	c.state = c.state.Lasted(c.now.Add(-10 * time.Second))
	c.expect("the window ends when it would have", running(5), 4)
	c = newCluster(t, 8, annotations)
	c.expect("some less", running(5), 8)
	c.now = c.now.Add(10 * time.Minute)
	d := c.tick(c.look(running(5)))
	if d.Desired != 8 || d.Reason != Gap {
		t.Errorf("%d %s after 10 minutes away, want 8 Gap", d.Desired, d.Reason)
	}
	c.expect("the longest age of a sample is 90 s", running(5), 8, 8, 8, 8, 8, 4)
}

// A newest recommendation that is not written down again while it lasts is taken to have lasted.
func TestLasted(t *testing.T) {
	s := State{Newest: Recommendation{8, testStart}, Seen: testStart}
	until := testStart.Add(time.Minute)
	if got := s.Lasted(until); got.Newest.Time != until || got.Seen != until || s.Newest.Time != testStart {
		t.Errorf("%+v of %+v", got, s)
	}
	if got := s.Lasted(testStart.Add(-time.Minute)); got.Newest.Time != testStart {
		t.Errorf("an older lease took time away: %+v", got)
	}
	if got := (State{}).Lasted(until); !got.Newest.Time.IsZero() {
		t.Errorf("nothing cannot last: %+v", got)
	}
}
