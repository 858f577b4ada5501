package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// at is a condition that changed some seconds after noon.
func at(kind corev1.PodConditionType, holds bool, second int) corev1.PodCondition {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(noon.Add(time.Duration(second) * time.Second))}
	if holds {
		c.Status = corev1.ConditionTrue
	}
	return c
}

// narrowedPod is what is kept of a pod with these conditions.
func narrowedPod(t *testing.T, conditions ...corev1.PodCondition) *pod {
	t.Helper()
	p, keep := newPod(&corev1.Pod{ObjectMeta: owned("ns", "p", "ReplicaSet", "rs"), Status: corev1.PodStatus{Conditions: conditions}})
	if !keep {
		t.Fatal("the pod is not kept")
	}
	return p
}

// A pod that was Ready before this process saw it is told from one that never was by when its conditions changed.
func TestServedPodIsKnownByItsConditions(t *testing.T) {
	begin := noon.Unix()
	for name, tt := range map[string]struct {
		conditions []corev1.PodCondition
		served     bool
		since      int64
	}{
		"loading, all reported at once": {[]corev1.PodCondition{
			at(corev1.PodScheduled, true, 1), at(corev1.PodInitialized, true, 2), at(corev1.PodReady, false, 2),
		}, false, begin + 2},
		"loading, reported over the turn of a second": {[]corev1.PodCondition{
			at(corev1.PodInitialized, true, 2), at(corev1.PodReady, false, 3),
		}, false, begin + 3},
		"loading, taken on late by a kubelet that had no GPU to give": {[]corev1.PodCondition{
			at(corev1.PodScheduled, true, 1), at(corev1.PodInitialized, true, 60), at(corev1.PodReady, false, 60),
		}, false, begin + 60},
		"loading after init containers": {[]corev1.PodCondition{
			at(corev1.PodInitialized, true, 90), at(corev1.PodReady, false, 2),
		}, false, begin + 2},
		"init containers under way": {[]corev1.PodCondition{
			at(corev1.PodInitialized, false, 2), at(corev1.PodReady, false, 300),
		}, false, begin + 300},
		"was ready": {[]corev1.PodCondition{
			at(corev1.PodScheduled, true, 1), at(corev1.PodInitialized, true, 2), at(corev1.PodReady, false, 300),
		}, true, begin + 300},
		"is ready": {[]corev1.PodCondition{at(corev1.PodInitialized, true, 2), at(corev1.PodReady, true, 2)}, true, begin + 2},
	} {
		if p := narrowedPod(t, tt.conditions...); p.served != tt.served || p.since != tt.since {
			t.Errorf("%s: served %v since %d, want %v since %d", name, p.served, p.since-begin, tt.served, tt.since-begin)
		}
	}
}

// What was seen counts where the conditions cannot tell.
func TestServedPodIsRemembered(t *testing.T) {
	var s startups
	ready := narrowedPod(t, at(corev1.PodScheduled, true, 1), at(corev1.PodReady, true, 40))
	unready := narrowedPod(t, at(corev1.PodScheduled, true, 1), at(corev1.PodReady, false, 50))
	if unready.served {
		t.Fatal("served by its conditions alone: this test shows nothing")
	}
	s.adopt(unready, ready, nil)
	if seen := unready.seen(); !seen.Served || seen.Phase != policy.Loading || !seen.Since.Equal(noon.Add(50*time.Second)) || !seen.Scheduled.Equal(noon.Add(time.Second)) {
		t.Errorf("seen %+v, want a loading pod that served until 50s", seen)
	}
	again := narrowedPod(t, at(corev1.PodScheduled, true, 1), at(corev1.PodReady, true, 70))
	s.adopt(again, unready, nil)
	if took := s.drain(); len(took) != 0 {
		t.Errorf("startups %v of a pod that had served, want none", took)
	}
}

func TestPodBefore(t *testing.T) {
	when := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	ready := narrowedPod(t, at(corev1.PodScheduled, true, 10), at(corev1.PodReady, true, 40))
	failed := narrowedPod(t, at(corev1.PodScheduled, true, 10), at(corev1.PodInitialized, true, 11), at(corev1.PodReady, false, 40))
	for _, tt := range []struct {
		p    *pod
		at   int
		want policy.Pod
	}{
		{ready, 50, policy.Pod{Phase: policy.Ready, Since: when(40), Scheduled: when(10), Served: true}},
		{ready, 20, policy.Pod{Phase: policy.Loading, Scheduled: when(10)}},
		{ready, 5, policy.Pod{Phase: policy.Loading}},
		{failed, 50, policy.Pod{Phase: policy.Loading, Since: when(40), Scheduled: when(10), Served: true}},
		{failed, 20, policy.Pod{Phase: policy.Ready, Scheduled: when(10), Served: true}},
	} {
		got := tt.p.before(when(tt.at))
		if got.Phase != tt.want.Phase || got.Served != tt.want.Served || !got.Since.Equal(tt.want.Since) || !got.Scheduled.Equal(tt.want.Scheduled) {
			t.Errorf("at %ds: %+v, want %+v", tt.at, got, tt.want)
		}
	}
}
