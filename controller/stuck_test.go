package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// The usual case of a lost race: the cache shows the winner's number before the next tick begins.
func TestLostRaceIsDecidedAnewAtTheNextTick(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(_ context.Context, c change) (written, error) {
		if c.from != 3 {
			return written{}, apierrors.NewConflict(deploymentsResource, "a", errors.New("changed"))
		}
		return written{replicas: c.to}, nil
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.deploy("a", 3, asks(policy.RunningRequests))
	if w := b.tick(1).Find("ns", "a"); w.WriteProblem != "" {
		t.Errorf("%q after the race was decided, want nothing", w.WriteProblem)
	}
	b.want("a 2->4", "a 3->6")
}

// A right that is missing must be waited for, whatever else happens to the Deployment.
func TestPauseAfterForbiddenOutlivesALostRace(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	errs := []error{
		apierrors.NewConflict(deploymentsResource, "a", errors.New("changed")),
		apierrors.NewForbidden(deploymentsResource, "a", errors.New("no right")),
	}
	b.scaler.answer = func(context.Context, change) (written, error) {
		err := errs[0]
		if len(errs) > 1 {
			errs = errs[1:]
		}
		return written{}, err
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.tick(1)
	b.tick(7) // 30 s later
	b.tick(8)
	b.want("a 2->4", "a 2->4")
	b.show("a", "uid-a", 2, asks(policy.RunningRequests)) // a new status
	b.tick(9)
	b.want("a 2->4", "a 2->4")
}

// After the API server was restored from a backup its versions begin lower, and the awaited one never comes.
func TestAwaitedVersionIsNotWaitedForForever(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(_ context.Context, c change) (written, error) {
		return written{replicas: c.to, version: "1000000"}, nil
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	if w := b.tick(1).Find("ns", "a"); w.Note == "" {
		t.Error("a decision before the last write was seen")
	}
	b.deploy("a", 2, asks(policy.RunningRequests)) // restored
	if w := b.tick(2).Find("ns", "a"); w.Note == "" {
		t.Error("a decision before the last write was seen")
	}
	if w := b.tick(2+12).Find("ns", "a"); w.Note != "" {
		t.Errorf("a minute later: %s", w.Note)
	}
}

// A webhook that caps the replicas must not be asked again every tick.
func TestWebhookThatCapsIsNotAskedEveryTick(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(context.Context, change) (written, error) { return written{replicas: 2}, nil }
	b.deploy("a", 2, asks(policy.RunningRequests))
	var w *Workload
	for n := range 13 {
		w = b.tick(n).Find("ns", "a")
	}
	if got := len(b.scaler.made()); got != 2 {
		t.Errorf("%d writes within a minute, want one at once and one after the pause", got)
	}
	if !strings.Contains(w.WriteProblem, "made 2 of it") {
		t.Errorf("problem %q, want what became of the number", w.WriteProblem)
	}
	b.scaler.answer = func(_ context.Context, c change) (written, error) { return written{replicas: c.to}, nil }
	b.tick(40)
	if w = b.tick(41).Find("ns", "a"); w.WriteProblem != "" {
		t.Errorf("problem %q after the webhook let it through, want none", w.WriteProblem)
	}
}

// After an API server was away for long, writes begin again soon.
func TestWritesResumeSoonAfterAnOutage(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(context.Context, change) (written, error) { return written{}, errors.New("connection refused") }
	b.deploy("a", 2, asks(policy.RunningRequests))
	for n := range 120 {
		b.tick(n)
	}
	if n := len(b.scaler.made()); n > 30 {
		t.Errorf("%d attempts in ten minutes, want pauses", n)
	}
	b.scaler.changes = nil
	for n := range 7 { // half a minute
		b.tick(120 + n)
	}
	if len(b.scaler.made()) == 0 {
		t.Error("no attempt within half a minute")
	}
}

// Raising is what must not wait.
func TestRefusedLowerHoldsUpNoRaise(t *testing.T) {
	b := newBed(t)
	b.scaler.answer = func(_ context.Context, c change) (written, error) {
		if c.to < c.from {
			return written{}, apierrors.NewForbidden(deploymentsResource, "a", errors.New("not in office hours"))
		}
		return written{replicas: c.to}, nil
	}
	annotations := asks(policy.RunningRequests, "scale-down.stabilization", "0s")
	b.reader.set(policy.RunningRequests, 10)
	b.deploy("a", 4, annotations)
	for n := range 30 { // until the data has been good for long enough
		b.tick(n)
	}
	if len(b.scaler.made()) == 0 {
		t.Fatal("nothing was lowered")
	}
	b.scaler.changes = nil
	b.reader.set(policy.RunningRequests, 100)
	b.tick(30)
	b.want("a 4->8")
}

func TestPanicOverAnnotationsLeavesTheOthersAlone(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("good", 1, asks(policy.RunningRequests))
	panics := 0
	b.parse = b.guarded(func(a map[string]string) (policy.Spec, policy.Problems) {
		if a["poison"] != "" {
			panics++
			panic("poisoned")
		}
		return policy.Parse(a, b.options.Settings)
	})
	bad := asks(policy.RunningRequests)
	b.deploy("bad", 1, bad)
	b.tick(0)
	bad["poison"] = "yes"
	b.deploy("bad", 1, bad)
	b.scaler.changes = nil
	s := b.tick(1)
	if message := s.Find("ns", "bad").Message(); !strings.Contains(message, "poisoned") {
		t.Errorf("message %q, want the panic", message)
	}
	b.tick(2)
	b.want("good 1->2", "good 1->2")
	if panics != 1 {
		t.Errorf("%d panics, want 1", panics)
	}
}

// Whoever changes names all the time must not fill the memory: neither with queries that failed nor with metrics.
func TestCustomSignalsThatAreGoneAreForgotten(t *testing.T) {
	drops := queryFunc(func(_ context.Context, _, _, name string) (Readings, error) {
		if name == "failing" {
			return Readings{}, errors.New("no")
		}
		return Readings{Dropped: []Dropped{{"nan", 1}}}, nil
	})
	b := newBed(t, func(o *Options) { o.Queries = drops })
	for n := range 50 {
		signal := policy.Signal(fmt.Sprintf("custom-%d", n))
		for _, name := range []string{"failing", "dropping"} {
			b.deploy(name, 1, asks(signal, "query."+string(signal), "q"))
		}
		b.tick(n)
		if s := b.Snapshot().Workloads[0]; len(s.Problems) > 0 {
			t.Fatal(s.Problems)
		}
	}
	if len(b.failing) != 1 {
		t.Errorf("%d queries are remembered as failing, want the present one: %v", len(b.failing), b.failing)
	}
	if n := testutil.CollectAndCount(b.metrics.dropped); n != 1 {
		t.Errorf("%d series of dropped samples, want the present signal's", n)
	}
}

func TestEventsAreBoundedPerDeploymentWhateverHappensToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		events := b.withEvents()
		for range 30 { // opts in and out again
			b.deploy("a", 2, asks(policy.RunningRequests, "min-replicas", "x"))
			b.Tick(t.Context(), time.Now())
			_ = b.watches.deployments[0].Delete(&deployment{meta: meta{"ns", "a", ""}})
			b.Tick(t.Context(), time.Now())
			time.Sleep(5 * time.Second)
		}
		if got := drain(events); len(got) != 1 {
			t.Errorf("%d events in five minutes, want 1", len(got))
		}
		// Many come and go; a write of one comes back when it is gone.
		for n := range 1000 {
			b.recorder.eventFor(&change{namespace: "ns", name: "a", uid: types.UID(fmt.Sprint(n))}, "Normal", policy.SuccessfulRescale, "x")
			drain(events)
		}
		time.Sleep(eventPause)
		b.recorder.eventFor(&change{namespace: "ns", name: "a", uid: "last"}, "Normal", policy.SuccessfulRescale, "x")
		if n := len(b.recorder.last); n != 1 {
			t.Errorf("%d events are remembered after the pause, want the last", n)
		}
	})
}

// Bounds are enforced without metrics, and also where the pods of a namespace cannot be listed.
func TestBoundsAreKeptWithoutPods(t *testing.T) {
	b := newBed(t)
	b.deploy("a", 12, asks(policy.RunningRequests))
	delete(b.watches.members, "")
	s := b.tick(0)
	if got := b.scaler.made(); !slices.Equal(got, []string{"a 12->10"}) {
		t.Errorf("writes %q, want the jump to the maximum", got)
	}
	if w := s.Find("ns", "a"); w.Note == "" {
		t.Error("nothing tells that the pods are not known")
	}
}
