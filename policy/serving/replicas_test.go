package serving

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGatewayKeepsRequests: with no replica ready nothing is lost, and what waited is served when one is.
func TestGatewayKeepsRequests(t *testing.T) {
	m := newModel(t, exampleConfig(), 2, 0)
	m.Advance(time.Minute)
	waited := m.Pending()
	if totals := m.Totals(); waited < 80 || totals.Arrived != waited || totals.Completed != 0 {
		t.Fatalf("a minute at 2 per second, none ready: %+v", totals)
	}
	setReplicas(t, m, "p0", "p1")
	if a, b := read(t, m, "p0"), read(t, m, "p1"); m.Pending() != 0 || a.Waiting+a.Running-b.Waiting-b.Running != waited%2 {
		t.Errorf("%d requests went out as %d and %d, %d stayed", waited, a.Waiting+a.Running, b.Waiting+b.Running, m.Pending())
	}
	setRate(t, m, 0)
	m.Advance(2 * time.Minute)
	if totals := m.Totals(); totals.Completed != waited || totals.Retried != 0 {
		t.Errorf("after another minute: %+v", totals)
	}
	// The client waited at the gateway, the replica never saw that.
	if score, load := m.Score(SLO{TTFT: 10 * time.Second}), read(t, m, "p0"); score.TTFTP50 < 20 || load.FirstTokens[0] > 1 {
		t.Errorf("client's TTFT %v, the replica's first %v", score.TTFTP50, load.FirstTokens[0])
	}
}

// TestRemovedReplica: its requests begin anew elsewhere; those it had begun are counted, and their clients' wait goes on.
func TestRemovedReplica(t *testing.T) {
	m := newModel(t, exampleConfig(), 30, 2)
	m.Advance(30 * time.Second)
	gone, before := read(t, m, "p1"), m.Totals()
	setReplicas(t, m, "p0")
	after := m.Totals()
	if gone.Running == 0 || gone.Waiting == 0 {
		t.Fatalf("the test wants a loaded replica: %+v", gone)
	}
	if after.Retried != gone.Running || after.Running != before.Running-gone.Running ||
		after.Waiting != before.Waiting+gone.Running {
		t.Errorf("before %+v, after %+v, on the removed one %d waiting, %d running", before, after, gone.Waiting, gone.Running)
	}
	if _, ok := m.Read("p1"); ok {
		t.Error("a removed replica can be read")
	}
	setReplicas(t, m)
	if totals := m.Totals(); totals.Pending != totals.Arrived-totals.Completed || totals.Running+totals.Waiting != 0 {
		t.Errorf("with none left: %+v", totals)
	}
	if !slices.IsSortedFunc(m.pending.all(), func(a, b *request) int { return a.id - b.id }) {
		t.Error("requests of removed replicas are not in order of arrival")
	}
	if score := m.Score(SLO{}); score.SLOAttainment != float64(score.Completed)/float64(score.Requests) {
		t.Errorf("a first token that was lost with its replica still counts: %+v", score)
	}
	// A replica that comes back under its old name is a new one.
	setReplicas(t, m, "p1")
	if load := read(t, m, "p1"); load.Finished != 0 || load.PromptTokens != 0 || load.GenerationTokens != 0 {
		t.Errorf("restarted: %+v", load)
	}
	setRate(t, m, 0)
	m.Advance(10 * time.Minute)
	if totals := m.Totals(); totals.Completed != totals.Arrived {
		t.Errorf("in the end: %+v", totals)
	}
}

// TestRouting: the fewest requests, then the place in the list.
func TestRouting(t *testing.T) {
	trace := make([]Request, 5)
	for i := range trace {
		trace[i] = Request{At: time.Duration(i), PromptTokens: 1000, OutputTokens: 10}
	}
	m := newModel(t, Config{Server: exampleServer, Trace: trace}, 0, 0)
	setReplicas(t, m, "b", "a", "c")
	m.Advance(time.Microsecond)
	for name, want := range map[string]int{"b": 2, "a": 2, "c": 1} {
		if load := read(t, m, name); load.Waiting+load.Running != want {
			t.Errorf("%s has %d requests, want %d", name, load.Waiting+load.Running, want)
		}
	}
}

func TestSetReplicasTwice(t *testing.T) {
	m := newModel(t, exampleConfig(), 5, 2)
	m.Advance(time.Minute)
	before := m.Totals()
	err := m.SetReplicas([]string{"p0", "p2", "p2"})
	if err == nil || !strings.Contains(err.Error(), `"p2" appears twice`) {
		t.Errorf("error %v", err)
	}
	if m.Totals() != before {
		t.Errorf("a refused change changed %+v to %+v", before, m.Totals())
	}
}

// TestNothingIsLost: through any history, what arrived is somewhere.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		config := exampleConfig()
		config.Seed = seed
		config.Server.MaxRunning = 1 + random.IntN(40)
		config.Server.KVTokens = 700 + random.IntN(20000)
		m := newModel(t, config, 0, 0)
		now := time.Duration(0)
		for range 60 {
			setRate(t, m, 40*random.Float64())
			var ready []string
			for i := range 6 {
				if random.IntN(2) == 0 {
					ready = append(ready, fmt.Sprint("p", i))
				}
			}
			setReplicas(t, m, ready...)
			now += time.Duration(random.Int64N(int64(20 * time.Second)))
			m.Advance(now)
			checkTotals(t, m)
		}
		setReplicas(t, m, names(6)...)
		setRate(t, m, 0)
		m.Advance(now + 24*time.Hour)
		if totals := m.Totals(); totals.Completed != totals.Arrived || totals.Arrived == 0 {
			t.Fatalf("seed %d: in the end %+v", seed, totals)
		}
		if score := m.Score(SLO{}); score.SLOAttainment != 1 {
			t.Fatalf("seed %d: all are served, but %+v", seed, score)
		}
		for _, r := range m.replicas {
			if load := read(t, m, r.name); load.KVCache != 0 {
				t.Fatalf("seed %d: %s is empty, its KV cache %v percent full", seed, r.name, load.KVCache)
			}
		}
	}
}

func checkTotals(t *testing.T, m *Model) {
	t.Helper()
	c := m.Totals()
	if c.Arrived != c.Completed+c.Waiting+c.Running+c.Pending {
		t.Fatalf("requests are lost: %+v", c)
	}
}

// story runs ten minutes with changes of rate and replicas, advancing to the times in between that it is given.
func story(t *testing.T, seed uint64, between []time.Duration) (loads []Load, score Score) {
	t.Helper()
	config := exampleConfig()
	config.Seed = seed
	config.Server.KVTokens = 12000
	m := newModel(t, config, 8, 2)
	for minute := range 10 {
		start := time.Duration(minute) * time.Minute
		for _, d := range between {
			m.Advance(start + d)
			setRate(t, m, m.arrivals.(*poisson).rate)
			setReplicas(t, m, names(len(m.replicas))...)
		}
		m.Advance(start + time.Minute)
		for i := range 2 + minute%3 {
			if load, ok := m.Read(fmt.Sprint("p", i)); ok {
				loads = append(loads, load)
			}
		}
		setReplicas(t, m, names(2+(minute+1)%3)...)
		setRate(t, m, 8+3*float64(minute%5))
	}
	return loads, m.Score(SLO{TTFT: 2 * time.Second})
}

// TestAdvanceInPieces: how the way to a time is cut makes no difference to the last bit, neither does a
// rate or a list of replicas that is set again, nor a second run.
func TestAdvanceInPieces(t *testing.T) {
	var pieces []time.Duration
	for d := time.Duration(0); d < time.Minute; d += 37*time.Millisecond + 11 {
		pieces = append(pieces, d)
	}
	for seed := range uint64(6) {
		loads, score := story(t, seed, nil)
		again, againScore := story(t, seed, nil)
		cut, cutScore := story(t, seed, pieces)
		if !reflect.DeepEqual(loads, again) || score != againScore {
			t.Fatalf("seed %d: two runs differ", seed)
		}
		if !reflect.DeepEqual(loads, cut) || score != cutScore {
			t.Fatalf("seed %d: in pieces it is\n%+v, at once\n%+v", seed, cutScore, score)
		}
		if _, other := story(t, seed+1000, nil); score == other {
			t.Errorf("seeds %d and %d give the same score %+v", seed, seed+1000, score)
		}
	}
}

func TestTimeDoesNotRunBack(t *testing.T) {
	m := newModel(t, exampleConfig(), 5, 1)
	m.Advance(time.Minute)
	before := m.Totals()
	m.Advance(time.Second)
	if m.Totals() != before || m.now != 60 {
		t.Errorf("before %+v, after %+v at %v s", before, m.Totals(), m.now)
	}
}
