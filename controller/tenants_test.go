package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tenants is a scaler that hangs for the namespaces that begin with bad, as a webhook does, and notes when the others' writes are sent.
type tenants struct {
	mu   sync.Mutex
	sent map[string]time.Duration // since noon, by namespace
	// takes is how long a write of a bad namespace takes, until its context ends if 0.
	takes time.Duration
}

// Scale hangs or answers.
func (s *tenants) Scale(ctx context.Context, c change) (written, error) {
	if strings.HasPrefix(c.namespace, "bad") {
		if s.takes == 0 {
			<-ctx.Done()
			return written{}, ctx.Err()
		}
		time.Sleep(s.takes)
		return written{replicas: c.to}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.sent[c.namespace]; !again {
		s.sent[c.namespace] = time.Since(noon)
	}
	return written{replicas: c.to}, nil
}

// longAfter is when nobody looks any more.
const longAfter = time.Hour

// Writes of bad namespaces hang, or take long, and there are a thousand of them in each tick. The one raise or lower of a good namespace,
// which comes last, goes out soon, also long after, when many have timed out.
func TestOneNamespaceHoldsUpNoOthersWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		bad   int
		takes time.Duration
		// raise and lower are how long those of a good namespace may wait.
		raise, lower time.Duration
	}{
		"one hangs":             {1, 0, 0, 0},
		"one is slow":           {1, 900 * time.Millisecond, 0, 0},
		"ten hang":              {10, 0, slowWrite, 3 * slowWrite},
		"five are slow":         {5, 900 * time.Millisecond, 900 * time.Millisecond, longAfter}, // raises go before lowers, whoever's they are
		"each write takes long": {2, slowWrite + time.Second, slowWrite, 2 * slowWrite},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &tenants{sent: map[string]time.Duration{}, takes: tt.takes}
				w := &writes{gate: open, done: func(*outcome) {}}
				for round := range 20 { // as many ticks
					for n := range 1000 {
						w.add(&job{change: change{namespace: fmt.Sprint("bad", n%tt.bad), from: 1, to: 2}, scaler: s})
					}
					raised, lowered := fmt.Sprint("raised", round), fmt.Sprint("lowered", round)
					w.add(&job{change: change{namespace: raised, from: 1, to: 2}, scaler: s})
					w.add(&job{change: change{namespace: lowered, from: 2, to: 1}, scaler: s})
					began := time.Since(noon)
					w.start(t.Context())
					time.Sleep(10 * time.Second)
					for good, within := range map[string]time.Duration{raised: tt.raise, lowered: tt.lower} {
						if sent, ok := s.sent[good]; within != longAfter && (!ok || sent-began > within) {
							t.Errorf("%s: sent %v after %v, want within %v", good, ok, sent-began, within)
						}
					}
					w.collect()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if w.inFlight != 0 || len(w.shares) != 0 {
					t.Errorf("%d in flight and the shares %v after all, want none", w.inFlight, w.shares)
				}
			})
		})
	}
}
