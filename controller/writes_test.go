package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/policy"
)

// apiServer answers scale patches and keeps what it was asked.
type apiServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	status   int
	body     string
	header   http.Header
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{status: http.StatusOK, body: `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"a","namespace":"ns","resourceVersion":"77"},"spec":{"replicas":4}}`}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, fmt.Sprintf("%s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), body))
		for k := range s.header {
			w.Header().Set(k, s.header.Get(k))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// patcher makes the real one for this server.
func (s *apiServer) patcher(t *testing.T) *patcher {
	client, err := ClientFor(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return &patcher{apps: client.AppsV1().RESTClient()}
}

func TestPatchOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		from, to int
		body     string
	}{
		{2, 4, `[{"op":"test","path":"/metadata/uid","value":"u-1"},{"op":"test","path":"/spec/replicas","value":2},{"op":"add","path":"/spec/replicas","value":4}]`},
		{0, 1, `[{"op":"test","path":"/metadata/uid","value":"u-1"},{"op":"test","path":"/spec/replicas","value":null},{"op":"add","path":"/spec/replicas","value":1}]`},
		{3, 0, `[{"op":"test","path":"/metadata/uid","value":"u-1"},{"op":"test","path":"/spec/replicas","value":3},{"op":"add","path":"/spec/replicas","value":0}]`},
	} {
		s := newAPIServer(t)
		got, err := s.patcher(t).Scale(t.Context(), change{"ns", "a", "u-1", tt.from, tt.to})
		if err != nil || got != (written{replicas: 4, version: "77"}) {
			t.Errorf("%d->%d: %+v, %v", tt.from, tt.to, got, err)
		}
		want := "PATCH /apis/apps/v1/namespaces/ns/deployments/a/scale?fieldManager=gpuscaler application/json-patch+json " + tt.body
		if len(s.requests) != 1 || s.requests[0] != want {
			t.Errorf("requests\n%q, want\n%q", s.requests, want)
		}
	}
}

func TestPatchIsSentOnceWhateverTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		status int
		reason string
		header http.Header
		want   result
		after  time.Duration
	}{
		{422, "Invalid", nil, conflict, 0},
		{409, "Conflict", nil, conflict, 0},
		{403, "Forbidden", nil, forbidden, 0},
		{404, "NotFound", nil, gone, 0},
		{400, "BadRequest", nil, failed, 0},
		{429, "TooManyRequests", http.Header{"Retry-After": {"7"}}, throttled, 7 * time.Second},
		{500, "InternalError", nil, unknown, 0},
		{503, "ServiceUnavailable", http.Header{"Retry-After": {"1"}}, unknown, 0},
		{504, "Timeout", nil, unknown, 0},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := newAPIServer(t)
			s.status, s.header = tt.status, tt.header
			s.body = fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no"}`, tt.reason, tt.status)
			if tt.status == http.StatusTooManyRequests {
				s.body = "Too many requests, please try again later." // as by priority and fairness
			}
			_, err := s.patcher(t).Scale(t.Context(), change{"ns", "a", "u-1", 2, 4})
			if got, after := classify(err); got != tt.want || after != tt.after {
				t.Errorf("%v is %s after %v, want %s after %v", err, got, after, tt.want, tt.after)
			}
			if len(s.requests) != 1 {
				t.Errorf("%d requests, want 1", len(s.requests))
			}
			if err == nil || !strings.Contains(err.Error(), "scaling ns/a from 2 to 4") {
				t.Errorf("error %v does not name what was tried", err)
			}
		})
	}
}

var deploymentsResource = schema.GroupResource{Group: "apps", Resource: "deployments"}

func TestLostRaceIsNotSentAgain(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(context.Context, change) (written, error) {
		return written{}, apierrors.NewConflict(deploymentsResource, "a", errors.New("changed"))
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.tick(1)
	b.want("a 2->4")
	if got := testutil.ToFloat64(b.metrics.writes.WithLabelValues("conflict")); got != 1 {
		t.Errorf("%v conflicts counted, want 1", got)
	}
	if events := b.targets["uid-a"].state.Events; len(events) != 0 {
		t.Errorf("scale events %v after a lost race, want none", events)
	}
	b.deploy("a", 3, asks(policy.RunningRequests)) // the winner's number arrives
	b.tick(2)
	b.want("a 2->4", "a 3->6")
}

func TestForbiddenIsTriedAgainLater(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(context.Context, change) (written, error) {
		return written{}, apierrors.NewForbidden(deploymentsResource, "a", errors.New("no right"))
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	var sent []int
	for n := range 12*60/5*5 + 1 { // an hour
		before := len(b.scaler.made())
		b.tick(n)
		if len(b.scaler.made()) > before {
			sent = append(sent, n*5/60)
		}
	}
	if w := b.Snapshot().Find("ns", "a"); !strings.Contains(w.Message(), "no right") || !strings.Contains(w.Message(), "asks for 4") {
		t.Errorf("message %q tells neither what is wanted nor why it is not done", w.Message())
	}
	// Pauses of 1, 2, 4 and then 5 minutes, each from the tick after the answer.
	if want := []int{0, 1, 3, 7, 12}; len(sent) < 5 || !slices.Equal(sent[:5], want) {
		t.Errorf("attempts in the minutes %v, want them to begin %v", sent, want)
	}
}

func TestShutGateStopsTheWrite(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.writes.gate = func() (time.Time, error) { return time.Time{}, errNotLeader }
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.want()
	if got := testutil.ToFloat64(b.metrics.writes.WithLabelValues("not_leader")); got != 1 {
		t.Errorf("%v writes stopped at the gate, want 1", got)
	}
}

func TestGateIsAskedRightBeforeEachWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.reader.set(policy.RunningRequests, 100)
		held := true
		b.writes.limit = 1
		b.writes.gate = func() (time.Time, error) {
			if !held {
				return time.Time{}, errNotLeader
			}
			return time.Now().Add(time.Minute), nil
		}
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			held = false // the lease is lost while the first write is under way
			return written{replicas: c.to}, nil
		}
		b.deploy("a", 1, asks(policy.RunningRequests))
		b.deploy("b", 1, asks(policy.RunningRequests))
		b.writes.limit = 1
		b.Tick(t.Context(), noon)
		synctest.Wait()
		if got := b.scaler.made(); len(got) != 1 {
			t.Errorf("changes %q, want only the one before the lease was lost", got)
		}
	})
}

func TestWriteEndsWithTheLease(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Minute: writeTimeout} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			b.reader.set(policy.RunningRequests, 100)
			b.writes.gate = func() (time.Time, error) { return time.Now().Add(lease), nil }
			began := time.Now()
			var took time.Duration
			b.scaler.answer = func(ctx context.Context, _ change) (written, error) {
				<-ctx.Done()
				took = time.Since(began)
				return written{}, ctx.Err()
			}
			b.deploy("a", 1, asks(policy.RunningRequests))
			b.Tick(t.Context(), noon)
			time.Sleep(time.Hour)
			synctest.Wait()
			if took != want {
				t.Errorf("with %v of the lease left the write ended after %v, want %v", lease, took, want)
			}
		})
	}
}

func TestRaisesGoBeforeLowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		s := &fakeScaler{answer: func(_ context.Context, c change) (written, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			order = append(order, c.name)
			return written{}, errDryRun // a success would let more fly
		}}
		w := &writes{gate: open, done: func(*outcome) {}, limit: 1}
		for _, c := range []change{{name: "down1", from: 4, to: 2}, {name: "up1", from: 1, to: 2}, {name: "down2", from: 4, to: 2}, {name: "up2", from: 1, to: 2}} {
			c.uid = "u"
			w.add(&job{change: c, scaler: s})
		}
		w.start(t.Context())
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"up1", "up2", "down1", "down2"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

func TestFewerWritesWhileThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		flying, most, full := 0, 0, true
		s := &fakeScaler{answer: func(_ context.Context, c change) (written, error) {
			mu.Lock()
			flying++
			most = max(most, flying)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			flying--
			if full {
				return written{}, apierrors.NewTooManyRequests("busy", 1)
			}
			return written{replicas: c.to}, nil
		}}
		w := &writes{gate: open, done: func(*outcome) {}}
		round := func(n int) int {
			most = 0
			for i := range n {
				w.add(&job{change: change{namespace: fmt.Sprint(i % 10), from: 1, to: 2}, scaler: s})
			}
			w.start(t.Context())
			time.Sleep(time.Hour)
			synctest.Wait()
			return most
		}
		if got := round(100); got != maxInFlight {
			t.Errorf("%d in flight, want %d", got, maxInFlight)
		}
		if got := round(10); got != 1 {
			t.Errorf("%d in flight while throttled, want 1", got)
		}
		full = false
		round(100)
		if got := round(100); got != maxInFlight {
			t.Errorf("%d in flight after recovery, want %d", got, maxInFlight)
		}
	})
}

func TestUnsentWritesAreTakenBackByTheNextTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.reader.set(policy.RunningRequests, 100)
		b.writes.limit = 1
		b.scaler.answer = func(ctx context.Context, _ change) (written, error) {
			<-ctx.Done()
			return written{}, ctx.Err()
		}
		b.deploy("a", 1, asks(policy.RunningRequests))
		b.deploy("b", 1, asks(policy.RunningRequests))
		b.Tick(t.Context(), noon)
		synctest.Wait()
		b.reader.set(policy.RunningRequests, 50) // by now nothing needs to change
		b.Tick(t.Context(), noon.Add(5*time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.scaler.made(); len(got) != 1 {
			t.Errorf("changes %q, want the stale one never sent", got)
		}
	})
}

func TestWriteWithoutAnswerCountsOnceIfItWasMade(t *testing.T) {
	for _, made := range []bool{true, false} {
		b := newBed(t)
		b.reader.set(policy.RunningRequests, 100)
		b.scaler.answer = func(context.Context, change) (written, error) { return written{}, io.ErrUnexpectedEOF }
		b.deploy("a", 2, asks(policy.RunningRequests))
		b.tick(0)
		b.reader.set(policy.RunningRequests, 50)
		b.tick(1)
		if n := len(b.targets["uid-a"].state.Events); n != 0 {
			t.Fatalf("%d scale events before anything is known, want 0", n)
		}
		want := 0
		if made {
			b.deploy("a", 4, asks(policy.RunningRequests))
			want = 1
		} else {
			b.deploy("a", 3, asks(policy.RunningRequests)) // someone else's
		}
		b.tick(2)
		b.tick(3)
		if events := b.targets["uid-a"].state.Events; len(events) != want {
			t.Errorf("made=%v: scale events %v, want %d", made, events, want)
		}
	}
}

func TestWebhookMayChangeTheNumber(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(context.Context, change) (written, error) { return written{replicas: 3}, nil }
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.tick(1)
	if events := b.targets["uid-a"].state.Events; len(events) != 1 || events[0].Change != 1 {
		t.Errorf("scale events %v, want the one that was made: +1", events)
	}
}

func TestDryRunNeverWrites(t *testing.T) {
	s := newAPIServer(t)
	client, err := ClientFor(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change      func(*Options)
		annotations map[string]string
	}{
		"flag":       {func(o *Options) { o.DryRun, o.Events = true, true }, asks(policy.RunningRequests)},
		"annotation": {func(*Options) {}, asks(policy.RunningRequests, "dry-run", "true")},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, func(o *Options) { o.Client = client }, tt.change)
			if _, dry := b.Controller.scaler.(dryRun); !dry {
				b.Controller.scaler = s.patcher(t)
			}
			b.reader.set(policy.RunningRequests, 100)
			b.deploy("a", 2, tt.annotations)
			b.deploy("broken", 2, asks(policy.RunningRequests, "min-replicas", "x"))
			for n := range 4 {
				snapshot := b.tick(n)
				if w := snapshot.Find("ns", "a"); w.Decision.Desired != 4 || !w.DryRun {
					t.Errorf("tick %d: desired %d, dry run %v, want 4 in a dry run", n, w.Decision.Desired, w.DryRun)
				}
			}
			if len(s.requests) != 0 {
				t.Errorf("requests %q, want none", s.requests)
			}
			if n := len(b.targets["uid-a"].state.Events); n != 0 {
				t.Errorf("%d scale events, want none", n)
			}
		})
	}
}
