package controller

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/client-go/tools/record"

	"github.com/gpuscaler/gpuscaler/policy"
)

func TestInvalidAnnotations(t *testing.T) {
	good := asks(policy.RunningRequests)
	for name, tt := range map[string]struct {
		later map[string]string
		// raised and lowered are what is written when the signal asks to.
		raised, lowered []string
	}{
		"an unknown key: raising only": {
			later:  asks(policy.RunningRequests, "max-replica", "10"),
			raised: []string{"a 2->4"},
		},
		"a bad window: raising only": {
			later:  asks(policy.RunningRequests, "scale-down.stabilization", "soon"),
			raised: []string{"a 2->4"},
		},
		"a new maximum beside an error counts": {
			later:  asks(policy.RunningRequests, "max-replicas", "3", "scale-down.stabilization", "soon"),
			raised: []string{"a 2->3"},
		},
		"paused beside an error counts":     {later: asks(policy.RunningRequests, "paused", "true", "scale-down.stabilization", "soon")},
		"dry-run beside an error counts":    {later: asks(policy.RunningRequests, "dry-run", "true", "scale-down.stabilization", "soon")},
		"an error in max-replicas: nothing": {later: asks(policy.RunningRequests, "max-replicas", "many")},
		"no max-replicas any more: nothing": {later: map[string]string{policy.Prefix + "enabled": "true", policy.Prefix + "target.running-requests": "50"}},
		"an error in min-replicas: nothing": {later: asks(policy.RunningRequests, "min-replicas", "-1")},
		"an error in paused: nothing":       {later: asks(policy.RunningRequests, "paused", "yes please")},
		"an error in dry-run: nothing":      {later: asks(policy.RunningRequests, "dry-run", "maybe")},
		"an error in enabled: nothing":      {later: asks(policy.RunningRequests, "enabled", "tru")},
		"the same again, for comparison":    {later: good, raised: []string{"a 2->4"}, lowered: []string{"a 2->1"}},
		"other valid annotations in place":  {later: asks(policy.RunningRequests, "scale-down.tolerance", "0.2"), raised: []string{"a 2->4"}, lowered: []string{"a 2->1"}},
	} {
		t.Run(name, func(t *testing.T) {
			for value, want := range map[float64][]string{100: tt.raised, 1: tt.lowered} {
				b := newBed(t)
				b.reader.set(policy.RunningRequests, 50)
				b.deploy("a", 2, good)
				b.tick(0)
				b.reader.set(policy.RunningRequests, value)
				b.deploy("a", 2, tt.later)
				for n := range 70 { // past the scale-down window
					b.tick(1 + n)
					if len(b.scaler.made()) > 0 {
						break
					}
				}
				b.want(want...)
			}
		})
	}
}

func TestNeverValidIsNotScaled(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("bad", 20, asks(policy.RunningRequests, "scale-up.tolerance", "NaN"))
	b.deploy("good", 1, asks(policy.RunningRequests))
	s := b.tick(0)
	b.want("good 1->2")
	w := s.Find("ns", "bad")
	if w.Decision.Reason != policy.InvalidAnnotations || w.Decision.Desired != 20 || len(w.Problems) != 1 {
		t.Errorf("workload %+v, want it left at 20 for InvalidAnnotations", w)
	}
	if _, body := get(b.Handler(), "/metrics"); !strings.Contains(body, `gpuscaler_held{namespace="ns",reason="InvalidAnnotations",workload="bad",workload_kind="Deployment"} 1`) {
		t.Error("no metric tells that the annotations are invalid")
	}
	if !strings.Contains(w.Message(), "scale-up.tolerance") {
		t.Errorf("message %q does not name the key", w.Message())
	}
}

// withEvents replaces the recorder's sink and returns the Events.
func (b *bed) withEvents() chan string {
	sink := record.NewFakeRecorder(100)
	b.recorder = &recorder{mail: fakeMail{sink}}
	return sink.Events
}

// drain returns what is in a channel.
func drain(events chan string) (list []string) {
	for {
		select {
		case e := <-events:
			list = append(list, e)
		default:
			return list
		}
	}
}

func TestEventsOnTransitionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		events := b.withEvents()
		n := 0
		tick := func() []string {
			b.Tick(t.Context(), time.Now())
			synctest.Wait()
			n++
			time.Sleep(5 * time.Second)
			return drain(events)
		}
		b.reader.set(policy.RunningRequests, 50)
		b.deploy("a", 2, asks(policy.RunningRequests))
		if got := tick(); len(got) != 0 {
			t.Errorf("events %q while all is well, want none", got)
		}
		b.reader.fail = map[policy.Signal]error{policy.RunningRequests: errNoPast}
		if got := tick(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning NoData ") {
			t.Errorf("events %q, want one Warning NoData", got)
		}
		for range 200 { // longer than the pause between two Events
			if got := tick(); len(got) != 0 {
				t.Errorf("events %q while it lasts, want none", got)
			}
		}
		// It flaps for 19 minutes: one in ten minutes.
		var more []string
		for range 117 {
			b.reader.fail = nil
			more = append(more, tick()...)
			b.reader.fail = map[policy.Signal]error{policy.RunningRequests: errNoPast}
			more = append(more, tick()...)
		}
		if count := strings.Count(strings.Join(more, "\n"), "Warning NoData"); count != 2 {
			t.Errorf("%d NoData events in 19 minutes, want 2", count)
		}
	})
}

func TestEventsNameWhatIsWrongAndWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		events := b.withEvents()
		b.reader.set(policy.RunningRequests, 100)
		b.deploy("bad", 2, asks(policy.RunningRequests, "scale-up.tolerance", strings.Repeat("x", 5000), "max-replicas", "many"))
		b.deploy("good", 2, asks(policy.RunningRequests))
		for range 5 {
			b.Tick(t.Context(), time.Now())
			synctest.Wait()
			time.Sleep(time.Second)
		}
		got := strings.Join(drain(events), "\n")
		for _, want := range []string{
			"Warning InvalidAnnotations ", policy.Prefix + "max-replicas", `"many"`, policy.Prefix + "scale-up.tolerance",
			"Normal SuccessfulRescale New size: 4; reason: running-requests is 100 for a target of 50",
		} {
			if strings.Count(got, want) != 1 {
				t.Errorf("events\n%s\nwant once: %s", got, want)
			}
		}
		for line := range strings.SplitSeq(got, "\n") {
			if len(line) > maxEventMessage+len("Warning InvalidAnnotations ") {
				t.Errorf("an event of %d bytes, want at most %d", len(line), maxEventMessage)
			}
		}
	})
}

// A reason that changes all the time is logged once a minute, and what it comes to in the end is logged.
func TestFlappingReasonIsNotLoggedEveryTick(t *testing.T) {
	var mu sync.Mutex
	var lines []string // of decisions; writes are told from goroutines of their own
	log := funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(args, `"msg"="Decided"`) {
			lines = append(lines, args)
		}
	}, funcr.Options{})
	b := newBed(t, func(o *Options) { o.Logger = log })
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.reader.set(policy.RunningRequests, 50)
	for n := range 48 { // four minutes
		b.reader.values = map[policy.Signal]float64{}
		if n%2 == 0 {
			b.reader.set(policy.RunningRequests, 50)
		}
		b.tick(n)
	}
	if n := len(lines); n > 5 {
		t.Errorf("%d lines for a reason that changes with every tick, want one a minute", n)
	}
	b.reader.set(policy.RunningRequests, 100)
	b.tick(48)
	before := len(lines)
	b.tick(49)
	if last := lines[len(lines)-1]; len(lines) != before || !strings.Contains(last, `"desired"=4`) {
		t.Errorf("a change of the number is not logged at once, or twice: %s", last)
	}
	b.reader.values = map[policy.Signal]float64{}
	b.reader.set(policy.RunningRequests, 50)
	for n := range 20 {
		b.tick(50 + n)
	}
	reason := b.Snapshot().Workloads[0].Decision.Reason
	if last := lines[len(lines)-1]; !strings.Contains(last, string(reason)) {
		t.Errorf("the last line %s does not tell the lasting reason %s", last, reason)
	}
}

// A Deployment whose first pod still loads has nothing to be read, which is no fault to be told. Once a pod is ready, it is.
func TestNoEventBeforeAPodIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		events := b.withEvents()
		b.reader.fail = map[policy.Signal]error{policy.RunningRequests: errNoPast}
		b.deploy("a", 1, asks(policy.RunningRequests))
		b.run("a", "uid-a", 1, policy.Loading)
		b.pod("a-0", func(p *pod) { p.scheduled = noon.Unix() })
		b.tick(0)
		if got := drain(events); len(got) != 0 {
			t.Errorf("events %q while the only pod loads, want none", got)
		}
		b.run("a", "uid-a", 1, policy.Ready)
		b.tick(1)
		if got := drain(events); len(got) != 1 || !strings.HasPrefix(got[0], "Warning NoData ") {
			t.Errorf("events %q, want one Warning NoData", got)
		}
	})
}

// Classes that change count from the next tick on, for those that name one. One whose class is gone goes on with its last good
// policy, for raising only.
func TestClassesThatChange(t *testing.T) {
	class := func(target string) map[string]map[string]string {
		return map[string]map[string]string{"ours": {"target.running-requests": target}}
	}
	next := class("50")
	b := newBed(t, func(o *Options) {
		o.Classes = func() (classes map[string]map[string]string, changed bool) {
			classes, next = next, nil
			return classes, classes != nil
		}
	})
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, map[string]string{
		policy.Prefix + "enabled": "true", policy.Prefix + "max-replicas": "10", policy.Prefix + "class": "ours",
		policy.Prefix + "scale-down.stabilization": "0s", policy.Prefix + "scale-up.policies": "100 pods/1s", policy.Prefix + "scale-down.policies": "100 pods/1s",
	})
	for n, step := range []struct {
		classes  map[string]map[string]string
		value    float64
		replicas int
		invalid  bool
	}{
		{nil, 100, 4, false},
		{nil, 50, 4, false},
		{class("25"), 50, 8, false},
		{map[string]map[string]string{}, 25, 8, true},
		{nil, 5, 8, true},
		{nil, 30, 10, true},
		{class("50"), 25, 5, false},
	} {
		if step.classes != nil {
			next = step.classes
		}
		b.reader.set(policy.RunningRequests, step.value)
		w := b.tick(n).Find("ns", "a")
		if w.Decision.Desired != step.replicas || (len(w.Problems) > 0) != step.invalid {
			t.Errorf("tick %d: %d, %v; want %d", n, w.Decision.Desired, w.Problems, step.replicas)
		}
		if w.Decision.Desired != w.Decision.Current {
			b.deploy("a", w.Decision.Desired, b.targets["uid-a"].seen.annotations)
		}
	}
}
