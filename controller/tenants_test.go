package controller

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
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

// at is when the first write of a namespace was sent.
func (s *tenants) at(namespace string) (sent time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent, ok = s.sent[namespace]
	return sent, ok
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
						if sent, ok := s.at(good); within != longAfter && (!ok || sent-began > within) {
							t.Errorf("%s: sent %v after %v, want within %v", good, ok, sent-began, within)
						}
					}
					w.collect()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.inFlight != 0 || len(w.shares) != 0 {
					t.Errorf("%d in flight and the shares %v after all, want none", w.inFlight, w.shares)
				}
			})
		})
	}
}

// invalid makes the i-th Deployment of a namespace with wrong annotations: every second has as many as are read at all, the others as many as
// the API server takes.
func invalid(namespace string, i int) *deployment {
	annotations := asks(policy.RunningRequests)
	for j := range []int{90, 2000}[i%2] {
		annotations[fmt.Sprintf("%sgarbage-%d", policy.Prefix, j)] = garbage
	}
	d, _ := newDeployment(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: fmt.Sprint("bad-", i), UID: types.UID(fmt.Sprint(namespace, i)), ResourceVersion: "1", Annotations: annotations,
	}})
	return d
}

var garbage = strings.Repeat("x", 100)

// invalid stores n of them.
func (b *bed) invalid(namespace string, n int) {
	b.t.Helper()
	for i := range n {
		if err := b.watches.deployments[0].Update(invalid(namespace, i)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// Thousands of Deployments with all the annotations that the API server takes, all wrong: they take little memory, cost a tick next to
// nothing once they have been read, and are logged once, in few words.
func TestInvalidAnnotationsOfThousands(t *testing.T) {
	const many = 500
	var mu sync.Mutex
	lines, longest := 0, 0
	b := newBed(t, func(o *Options) {
		o.Logger = funcr.New(func(_, text string) {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(text, "The annotations are invalid") {
				lines, longest = lines+1, max(longest, len(text))
			}
		}, funcr.Options{})
	})
	b.reader.set(policy.RunningRequests, 100)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	b.invalid("bad", many)
	b.deploy("good", 1, asks(policy.RunningRequests))
	b.tick(0)
	b.want("good 1->2")
	if each := (heap() - before) / many; each > 32<<10 {
		t.Errorf("%d bytes of memory for each, want less than an eighth of their annotations", each)
	}
	b.deploy("good", 2, asks(policy.RunningRequests))
	n := 0
	if allocations := testing.AllocsPerRun(5, func() { n++; b.Tick(t.Context(), noon.Add(time.Duration(n)*time.Hour)) }); allocations > 2*many {
		t.Errorf("%.0f allocations in a tick over %d invalid Deployments, want no text made anew", allocations, many)
	}
	if lines != many || longest > 2<<10 {
		t.Errorf("%d lines of up to %d bytes in the log, want %d short ones", lines, longest, many)
	}
}

// Queries of one namespace that hang leave slots for the others', and those of several let the others have their turn. A pass has such
// slots: see TestManyCustomQueriesAreBounded.
func TestOneNamespacesQueriesHoldUpNoOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		bad    int
		within time.Duration
	}{"one": {1, 0}, "three": {3, 8 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				s := newSlots(maxCustomQueries, maxCustomOfNamespace)
				for i := range 1000 {
					go func() {
						release, err := s.take(ctx, fmt.Sprint("bad", i%tt.bad))
						if err == nil {
							time.Sleep(4 * time.Second)
							release()
						}
					}()
				}
				synctest.Wait()
				for range 10 {
					began := time.Now()
					release, err := s.take(ctx, "good")
					if err != nil {
						t.Fatal(err)
					}
					release()
					if took := time.Since(began); took > tt.within {
						t.Errorf("waited for %v, want at most %v", took, tt.within)
					}
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if len(s.all) != 0 || len(s.own["bad0"]) != 0 {
					t.Errorf("%d slots and %d of a namespace are still taken", len(s.all), len(s.own["bad0"]))
				}
			})
		})
	}
}

// What a webhook says when it refuses is kept, shown and logged in a few words.
func TestLongRefusal(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(context.Context, change) (written, error) {
		return written{}, apierrors.NewForbidden(deploymentsResource, "a", errors.New("no: "+strings.Repeat("é", 1<<20)))
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.tick(1)
	if problem := b.Snapshot().Find("ns", "a").WriteProblem; !strings.Contains(problem, "no: é") || len(problem) > 2*maxEventMessage || !utf8.ValidString(problem) {
		t.Errorf("a write problem of %d bytes: %.200s", len(problem), problem)
	}
	if got := testutil.ToFloat64(b.metrics.writes.WithLabelValues("forbidden")); got != 1 {
		t.Errorf("%v counted as forbidden, want 1", got)
	}
}

// The series of a workload are bounded, whatever its annotations say: those below of fixed number, those of its signals, of which 100
// annotations cannot name more than 50, and those of reasons. What is wrong with annotations, and names that nobody defined, are no labels.
func TestSeriesAreBounded(t *testing.T) {
	queries := queryFunc(func(context.Context, string, string, string) (Readings, error) {
		return Readings{Workload: &policy.Sample{Value: 50, OK: true}, Dropped: []Dropped{{"nan", 1}}}, nil
	})
	b := newBed(t, func(o *Options) {
		o.Queries = queries
		o.Settings.Queries = map[string]bool{"q": true}
	})
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("good", 1, asks(policy.RunningRequests))
	b.tick(0)
	before := b.series()
	const perWorkload = 7 // replicas, bounds and the GPU seconds by their three states

	b.invalid("bad", 200)
	b.tick(1)
	if n, most := b.series()-before, 200*(perWorkload+1)+1; n > most { // each is held for InvalidAnnotations, of which decisions are counted too
		t.Errorf("%d more series with 200 invalid Deployments, want at most %d", n, most)
	}
	for n := range 200 {
		_ = b.watches.deployments[0].Delete(&deployment{meta: meta{"bad", fmt.Sprint("bad-", n), "1"}})
	}
	greedy := asks(policy.RunningRequests)
	for n := range 48 {
		name := fmt.Sprintf("signal-%d-%s", n, strings.Repeat("x", 40))
		greedy[policy.Prefix+"query."+name], greedy[policy.Prefix+"target."+name] = "q", "50"
	}
	for n := range 50 { // and each time under another name
		b.deploy(fmt.Sprint("greedy-", n), 1, greedy)
		b.tick(2 + 2*n)
		if got, most := b.series()-before, perWorkload+49*(2+1)+2*len(reasons)+len(reasons); got > most {
			t.Fatalf("%d more series with one greedy Deployment, want at most %d", got, most)
		}
		_ = b.watches.deployments[0].Delete(&deployment{meta: meta{"ns", fmt.Sprint("greedy-", n), "1"}})
		b.tick(3 + 2*n)
	}
	if after := b.series() - before; after > len(reasons) { // decisions by reason
		t.Errorf("%d series stay when they are gone", after)
	}
}

// series counts those of the controller.
func (b *bed) series() (n int) {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if len(l.GetValue()) > 63 && l.GetName() != "namespace" && l.GetName() != "workload" {
					b.t.Errorf("the label %s of %s is %q", l.GetName(), f.GetName(), l.GetValue())
				}
			}
		}
		n += len(f.GetMetric())
	}
	return n
}
