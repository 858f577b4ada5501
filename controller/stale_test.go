package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gpuscaler/gpuscaler/policy"
)

// While the Deployments are not watched nothing is written, and it is told why; after that it takes a tick more.
func TestNothingIsWrittenUnwatched(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests))
	var problem error
	b.watches.deployments[0].synced.Store(true)
	b.watches.sources[0].problem = func() error { return problem }
	problem = errors.New("connection refused")
	s := b.tick(0)
	if w := s.Find("ns", "a"); !strings.Contains(w.Message(), "watching Deployments of all namespaces fails: connection refused") {
		t.Errorf("unwatched it says %q", w.Message())
	}
	if s.Stale != 1 {
		t.Errorf("%d stale workloads, want 1", s.Stale)
	}
	problem = nil
	if w := b.tick(1).Find("ns", "a"); !strings.Contains(w.Message(), "only just been watched again") {
		t.Errorf("watched again it says %q", w.Message())
	}
	b.want()
	if s = b.tick(2); s.Find("ns", "a").WriteProblem != "" || s.Stale != 0 {
		t.Errorf("a tick later it says %q, and %d are stale", s.Find("ns", "a").WriteProblem, s.Stale)
	}
	b.want("a 2->4")
}

// A watch that does not show a write of ours, or who won a race, is stuck: the Deployments are listed anew, but not all the time.
func TestStuckWatchIsListedAnew(t *testing.T) {
	for name, answer := range map[string]func(context.Context, change) (written, error){
		"a write": func(_ context.Context, c change) (written, error) {
			return written{replicas: c.to, version: "1000000"}, nil
		},
		"a lost race": func(context.Context, change) (written, error) {
			return written{}, apierrors.NewConflict(deploymentsResource, "a", errors.New("changed"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.reader.set(policy.RunningRequests, 100)
			b.scaler.answer = answer
			b.deploy("a", 2, asks(policy.RunningRequests))
			again := b.watches.sources[0].again
			for n := range 3 {
				b.tick(n) // the third is 5 s after the second, which learned of it
			}
			if len(again) != 0 {
				t.Error("listed anew within 10 s")
			}
			b.tick(3)
			if len(again) != 1 {
				t.Fatal("not listed anew after 10 s")
			}
			<-again
			for n := 4; n < 10; n++ {
				b.tick(n)
			}
			if len(again) != 0 {
				t.Error("listed anew once more for the same")
			}
		})
	}
}

// What the watch has shown is not asked for.
func TestShownChangesAreNotListedAnew(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(_ context.Context, c change) (written, error) {
		return written{replicas: c.to, version: "2"}, nil
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.deploy("a", 4, asks(policy.RunningRequests)) // version 2
	for n := 1; n < 6; n++ {
		b.tick(n)
	}
	if len(b.watches.sources[0].again) != 0 {
		t.Error("listed anew, though the watch has shown the write")
	}
	now := time.Now()
	if !b.watches.relist("ns", now) || b.watches.relist("ns", now.Add(relistPause/2)) || !b.watches.relist("ns", now.Add(relistPause)) {
		t.Error("want one list a minute at most")
	}
}
