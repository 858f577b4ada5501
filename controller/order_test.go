package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8stesting "k8s.io/client-go/testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// The least busy pods are marked one tick before the write, and those that are left are unmarked when the others are gone.
func TestLeastBusyGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t)
		if got := h.step(0); got != "" {
			t.Errorf("at rest %q", got)
		}
		h.reader.set(policy.GPUUtilization, 20) // two do
		if got := h.step(1); got != "a-1=-2 a-3=-3 a-4=-1" {
			t.Errorf("marked %q", got)
		}
		h.want()
		h.busy["a-2"] = 0
		h.step(2)
		h.want("a 5->2")
		h.show("a", "uid-a", 2, h.targets["uid-a"].seen.annotations)
		h.reader.set(policy.GPUUtilization, 50)
		if got := h.step(3); !strings.Contains(got, "a-3=-3") {
			t.Errorf("unmarked to %q while the pods were still there", got)
		}
		h.remove("a-3", "a-1", "a-0") // one of them was not ready any more: a-4 has survived
		if got := h.step(4); got != "" {
			t.Errorf("left %q, want the survivor unmarked", got)
		}
	})
}

// Load that comes back in between: nothing is lowered, and the marks are taken away.
func TestMarksAreUndoneWithoutALower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t)
		h.reader.set(policy.GPUUtilization, 20)
		if h.step(0) == "" {
			t.Error("nothing marked")
		}
		h.reader.set(policy.GPUUtilization, 50)
		if got := h.step(1); got != "" {
			t.Errorf("left %q", got)
		}
		h.reader.set(policy.GPUUtilization, 20)
		h.step(2)
		h.want()
		h.step(3)
		h.want("a 5->2")
	})
}

// Marks of a process that ended are undone, whatever is asked for now; a cost that someone else has set is never changed.
func TestMarksOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t, "scale-down.order", "default")
		h.annotate("a-0", "-7")
		h.marker.send("ns", nil, []string{"a-0", "a-1"})
		if got := h.costs(); got != "a-0=-7 a-1=-1" {
			t.Errorf("marked %q", got)
		}
		if got := h.step(0); got != "a-0=-7" {
			t.Errorf("left %q, want the one that someone else has set", got)
		}
	})
}

func TestCostsOfOthersAreRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t)
		h.annotate("a-3", "0")
		h.costs()
		h.reader.set(policy.GPUUtilization, 30)
		if got := h.step(0); got != "a-1=-2 a-3=0 a-4=-1" {
			t.Errorf("marked %q", got)
		}
		h.annotate("a-1", "99") // taken over by a person
		h.costs()
		h.reader.set(policy.GPUUtilization, 50)
		if got := h.step(1); got != "a-1=99 a-3=0" {
			t.Errorf("left %q", got)
		}
	})
}

// Without the right it is said once, in the log and by an Event, and from then on lowered without delay.
func TestMarkingForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHerd(t)
		attempts := 0
		h.client.PrependReactor("patch", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			attempts++
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "a-3", errors.New("no right"))
		})
		h.reader.set(policy.GPUUtilization, 40)
		h.step(0)
		h.step(1)
		h.want("a 5->4")
		h.show("a", "uid-a", 4, h.targets["uid-a"].seen.annotations)
		h.remove("a-0")
		before := attempts
		h.step(2) // the write is settled
		h.reader.set(policy.GPUUtilization, 30)
		h.step(3)
		h.want("a 5->4", "a 4->3")
		h.step(4)
		if attempts != before {
			t.Errorf("%d more attempts", attempts-before)
		}
		told := 0
		for _, line := range h.log {
			if strings.Contains(line, "deploy/rbac/least-busy") {
				told++
			}
		}
		events, err := h.client.CoreV1().Events("ns").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		isIt := func(e corev1.Event) bool { return strings.Contains(e.Message, "the controller may not patch pods") }
		if told != 1 || !slices.ContainsFunc(events.Items, isIt) {
			t.Errorf("told %d times, Events %v; want once each", told, events.Items)
		}
	})
}

// Nothing is marked where nothing is written, and nothing waits where there is nothing to choose.
func TestNoMarks(t *testing.T) {
	for name, tt := range map[string]struct {
		annotations []string
		prepare     func(*herd)
		changes     []string
	}{
		"dry run":          {[]string{"dry-run", "true"}, nil, nil},
		"default order":    {[]string{"scale-down.order", "default"}, nil, []string{"a 5->2"}},
		"no samples":       {nil, func(h *herd) { clear(h.busy) }, []string{"a 5->2"}},
		"the gate is shut": {nil, func(h *herd) { h.writes.gate = func() (time.Time, error) { return time.Time{}, errNotLeader } }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHerd(t, tt.annotations...)
				if tt.prepare != nil {
					tt.prepare(h)
				}
				h.reader.set(policy.GPUUtilization, 20)
				if got := h.step(0); got != "" {
					t.Errorf("marked %q", got)
				}
				h.want(tt.changes...)
			})
		})
	}
}

func TestDryRunMarksNothing(t *testing.T) {
	if b := newBed(t, func(o *Options) { o.DryRun = true }); b.marker != nil {
		t.Error("a dry run can mark pods")
	}
}

func TestWhoGoesFirst(t *testing.T) {
	at := func(name string, scheduled int64, phase policy.Phase, c cost) *pod {
		return &pod{meta: meta{name: name}, scheduled: scheduled, phase: phase, cost: c}
	}
	busy := func(values ...float64) []policy.Reading {
		var samples []policy.Sample
		for _, v := range values {
			samples = append(samples, policy.Sample{Value: v, OK: v >= 0})
		}
		return []policy.Reading{{Signal: policy.GPUUtilization}, {Signal: policy.RunningRequests, Samples: samples}}
	}
	four := []*pod{at("a", 1, policy.Ready, noCost), at("b", 2, policy.Ready, noCost), at("c", 3, policy.Ready, noCost), at("d", 4, policy.Ready, noCost)}
	for name, tt := range map[string]struct {
		pods []*pod
		read []policy.Reading
		gone int
		want []string
	}{
		"the least busy":           {four, busy(3, 1, 2, 4), 2, []string{"b", "c"}},
		"then the youngest":        {four, busy(1, 1, 1, 0), 3, []string{"d", "c", "b"}},
		"without a sample is busy": {four, busy(3, -1, 2, -1), 3, []string{"c", "a"}},
		"none sampled":             {four, busy(-1, -1, -1, -1), 2, nil},
		"not read":                 {four, nil, 2, nil},
		"all go":                   {four, busy(1, 2, 3, 4), 4, nil},
		"none goes":                {four, busy(1, 2, 3, 4), 0, nil},
		"one is not ready": {
			[]*pod{at("a", 1, policy.Loading, noCost), four[1], four[2], four[3]}, busy(0, 3, 2, 4), 2, []string{"c"},
		},
		"the others are enough": {
			[]*pod{at("a", 1, policy.Loading, noCost), at("b", 0, policy.Unschedulable, noCost), four[2], four[3]}, busy(0, 0, 2, 4), 2, nil,
		},
		"someone has said": {
			[]*pod{at("a", 1, policy.Ready, theirCost), four[1], four[2], four[3]}, busy(0, 3, 2, 4), 2, []string{"c", "b"},
		},
		"marked before": {
			[]*pod{at("a", 1, policy.Ready, ourCost), four[1], four[2], four[3]}, busy(0, 3, 2, 4), 2, []string{"a", "c"},
		},
	} {
		o := &observer{found: tt.pods, read: tt.read}
		if got := o.first(tt.gone); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
