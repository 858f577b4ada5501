package metrics

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// asked counts who was asked.
type asked struct {
	mu    sync.Mutex
	count map[int]int
}

func (a *asked) handler(i int, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		if a.count == nil {
			a.count = map[int]int{}
		}
		a.count[i]++
		a.mu.Unlock()
		page.ServeHTTP(w, r)
	})
}

// take returns who was asked since the last time.
func (a *asked) take() map[int]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	count := a.count
	a.count = nil
	return count
}

// TestFailureIsMissingAtOnce: no sample of the tick before stands in for a pod that failed, and one that recovers is back at once.
func TestFailureIsMissingAtOnce(t *testing.T) {
	var broken atomic.Bool
	page := newBook("tgi_queue_size 3\ntgi_request_generated_tokens_sum 0\n")
	p := newPods(t, 1, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken.Load() {
				w.WriteHeader(503)
				return
			}
			page.ServeHTTP(w, r)
		})
	})
	d := NewDirect(DirectOptions{})
	target := p.target(policy.QueueDepth, policy.TokensPerSecond)
	d.Read(context.Background(), at(0), target)
	broken.Store(true)
	r := d.Read(context.Background(), at(5), target)
	if r.Failed != 1 || r.Results[0].Samples.Len() != 0 || r.Results[1].Samples.Len() != 0 {
		t.Errorf("%+v", r)
	}
	broken.Store(false)
	page.write("tgi_queue_size 4\ntgi_request_generated_tokens_sum 100\n")
	r = d.Read(context.Background(), at(10), target)
	wantTold(t, r.Results[0], map[string]string{"p0": "4 tgi_queue_size"})
	if got := roundedReading(r.Results[1]); got != "10 tgi_request_generated_tokens_sum" { // its counts were kept
		t.Errorf("rate %q", got)
	}
}

// TestProbation: a pod that fails is asked again after 1, 2, 4 … 30 seconds, is told of all the while, and begins anew once it
// has answered.
func TestProbation(t *testing.T) {
	var who asked
	var good atomic.Bool
	p := newPods(t, 1, func(i int) http.Handler {
		return who.handler(i, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !good.Load() {
				http.NotFound(w, r)
				return
			}
			newBook(goodPage).ServeHTTP(w, r)
		}))
	})
	d := NewDirect(DirectOptions{})
	var seconds []int
	read := func(second int) DirectReading {
		r := d.Read(context.Background(), at(second), p.target(policy.QueueDepth))
		if len(who.take()) > 0 {
			seconds = append(seconds, second)
		}
		return r
	}
	for second := range 130 {
		if r := read(second); r.Sampled != 1 || r.Failed != 1 || !strings.Contains(r.Problem, "404") {
			t.Fatalf("at %d s %+v", second, r)
		}
	}
	good.Store(true)
	for second := 130; second < 160; second++ {
		read(second)
	}
	want := []int{0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 152, 153}
	if len(seconds) < len(want) || !slices.Equal(seconds[:len(want)], want) {
		t.Errorf("asked at %v, want %v", seconds, want)
	}
	good.Store(false)
	if r := read(160); r.Failed != 1 {
		t.Errorf("%+v", r)
	}
	good.Store(true)
	if r := read(161); r.Failed != 0 {
		t.Errorf("after one failure it is not asked again a second later: %+v", r)
	}
}

// TestHangingTargets: many targets whose pods hang do not keep another from being read.
func TestHangingTargets(t *testing.T) {
	hanging := newPods(t, 16, func(int) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	})
	healthy := &pods{t: t}
	healthy.serve(20, newBook(goodPage))
	healthy.list = healthy.list[20:]
	const timeout = 400 * time.Millisecond
	d := NewDirect(DirectOptions{Timeout: timeout})
	readHealthy := func(tick int) {
		started := time.Now()
		r := d.Read(context.Background(), at(tick), healthy.target(policy.QueueDepth))
		wantTold(t, r.Results[0], map[string]string{"p20": "3 tgi_queue_size"})
		if took := time.Since(started); took > timeout/2 {
			t.Errorf("tick %d: the healthy pod took %v", tick, took)
		}
	}
	readHealthy(-1)
	for tick := range 3 {
		var wg sync.WaitGroup
		for i := range 40 { // 640 pods, more than there are slots
			target := hanging.target(policy.QueueDepth)
			target.Workload = fmt.Sprintf("hanging-%d", i)
			wg.Go(func() {
				started := time.Now()
				r := d.Read(context.Background(), at(tick), target)
				if took := time.Since(started); took > 2*timeout {
					t.Errorf("tick %d: a read of hanging pods took %v", tick, took)
				}
				if r.Results[0].Samples.Len() > 0 {
					t.Errorf("a hanging pod has a sample")
				}
			})
		}
		time.Sleep(timeout / 4) // all of them hang
		readHealthy(tick)
		wg.Wait()
	}
	if n := len(d.slots.proven) + len(d.slots.unknown) + len(d.slots.failed); n != 0 {
		t.Errorf("%d slots are still taken", n)
	}
}

// TestNoSlot: who finds no slot is not said to have failed, and what it said before stays.
func TestNoSlot(t *testing.T) {
	p := newPods(t, 1, func(int) http.Handler { return newBook(goodPage) })
	d := NewDirect(DirectOptions{Timeout: 100 * time.Millisecond})
	target := p.target(policy.QueueDepth)
	d.Read(context.Background(), at(0), target)
	for range maxProven {
		d.slots.proven <- struct{}{}
	}
	r := d.Read(context.Background(), at(5), target)
	wantTold(t, r.Results[0], map[string]string{"p0": "3 tgi_queue_size"})
	if r.Sampled != 0 || r.Failed != 0 || !strings.Contains(r.Problem, "1 of 1 pods were not asked") {
		t.Errorf("%+v", r)
	}
	if reading, _ := r.Results[0].Samples.Get("ml", "p0"); !reading.Time.Equal(at(0)) {
		t.Errorf("%+v", reading)
	}
}

// TestSlots: the three kinds take nothing from each other, and those that failed do not wait.
func TestSlots(t *testing.T) {
	kinds := []*trial{{answered: true}, {}, {failed: &failure{}}}
	s := newSlots()
	for i, pool := range []chan struct{}{s.proven, s.unknown, s.failed} {
		for range cap(pool) {
			if s.take(t.Context(), kinds[i], time.Millisecond) == nil {
				t.Fatalf("kind %d has fewer slots than %d", i, cap(pool))
			}
		}
		started := time.Now()
		const patience = 20 * time.Millisecond
		if s.take(t.Context(), kinds[i], patience) != nil {
			t.Errorf("kind %d has more than %d slots", i, cap(pool))
		}
		if waited := time.Since(started) >= patience; waited != (kinds[i].failed == nil) {
			t.Errorf("kind %d waited: %v", i, waited)
		}
	}
}

// TestNoSlotForTheFailed: pods that failed and find no slot are not first in line for ever, before those that answer.
func TestNoSlotForTheFailed(t *testing.T) {
	var who asked
	p := newPods(t, 18, func(i int) http.Handler {
		if i < 16 {
			return http.NotFoundHandler()
		}
		return who.handler(i, newBook(goodPage))
	})
	d := NewDirect(DirectOptions{})
	d.Read(context.Background(), at(0), p.target(policy.QueueDepth))
	d.Read(context.Background(), at(0), p.target(policy.QueueDepth))
	for range maxProbation {
		d.slots.failed <- struct{}{}
	}
	who.take()
	for tick := 1; tick < 5; tick++ {
		d.Read(context.Background(), at(100*tick), p.target(policy.QueueDepth))
	}
	if count := who.take(); count[16] < 2 || count[17] < 2 {
		t.Errorf("in four ticks the pods that answer were asked %v times", count)
	}
}

// TestClockSetBack: nothing stays for as long as the clock was ahead.
func TestClockSetBack(t *testing.T) {
	var broken atomic.Bool
	p := newPods(t, 20, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken.Load() {
				w.WriteHeader(503)
				return
			}
			newBook(goodPage).ServeHTTP(w, r)
		})
	})
	page := newBook(agentAlive + device("GPU-1", "ml", "p0", 0.5, 1, 2, 0))
	agent, _ := serveAgent(t, page)
	p.list[0].Agent = agent
	target := p.target(policy.QueueDepth, policy.GPUUtilization)
	d := NewDirect(DirectOptions{})
	d.Read(context.Background(), at(3600), target)
	page.write(agentAlive + device("GPU-1", "ml", "p0", 0.7, 1, 2, 0))
	r := d.Read(context.Background(), at(0), target)
	if n := r.Results[0].Samples.Len(); n != 16 { // what the others said is of a time that is yet to come
		t.Errorf("%d samples", n)
	}
	wantTold(t, r.Results[1], map[string]string{"p0": "71 " + agentUtil})
	broken.Store(true)
	for second := range 3 {
		d.Read(context.Background(), at(3600+second), target)
	}
	broken.Store(false)
	if r := d.Read(context.Background(), at(1), target); r.Failed > 4 { // those whose turn it is not yet
		t.Errorf("%+v", r)
	}
}

// TestDirectCancelled: the end of the program is no failure of a pod.
func TestDirectCancelled(t *testing.T) {
	p := newPods(t, 1, func(int) http.Handler { return newBook(goodPage) })
	d := NewDirect(DirectOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := d.Read(ctx, at(0), p.target(policy.QueueDepth)); r.Failed != 0 || r.Results[0].Samples.Len() != 0 {
		t.Errorf("%+v", r)
	}
	if r := d.Read(context.Background(), at(0), p.target(policy.QueueDepth)); r.Failed != 0 || r.Results[0].Samples.Len() != 1 {
		t.Errorf("%+v", r)
	}
}

// TestKeepAlive: one connection per pod, in use again and again.
func TestKeepAlive(t *testing.T) {
	p := &pods{t: t}
	for i := range 8 {
		page := newBook(goodPage)
		if i%2 == 1 {
			page = &book{kind: openMetricsType, text: goodPage + "# EOF\n"}
		}
		p.serve(i, page)
	}
	d := NewDirect(DirectOptions{})
	for tick := range 10 {
		if r := d.Read(context.Background(), at(tick), p.target(policy.QueueDepth)); r.Failed > 0 || r.Results[0].Samples.Len() != 8 {
			t.Fatalf("%+v", r)
		}
	}
	if n := p.conns.Load(); n != 8 {
		t.Errorf("%d connections for 8 pods", n)
	}
}

// TestProblems: the commonest failure is told, with one that it happened to.
func TestProblems(t *testing.T) {
	p := newPods(t, 5, func(i int) http.Handler {
		if i == 1 {
			return http.NotFoundHandler()
		}
		return newBook(goodPage)
	})
	for i := 5; i < 9; i++ { // nobody listens there
		p.list = append(p.list, DirectPod{Name: fmt.Sprintf("p%d", i), IP: podIP(i + 100)})
	}
	r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), p.target(policy.QueueDepth))
	want := fmt.Sprintf("5 of 9 pods could not be read: pod p5 (%s:%d): connection refused, and 3 others alike, and 1 otherwise; "+
		"check the port in gpuscaler.io/scrape, and that the server listens on all addresses", podIP(105), p.port)
	if r.Problem != want {
		t.Errorf("got  %s\nwant %s", r.Problem, want)
	}
}

// TestForgetting: pods and targets that nobody asks for any more are forgotten, and a pod that comes back soon is not.
func TestForgetting(t *testing.T) {
	p := newPods(t, 2, func(int) http.Handler { return newBook(goodPage) })
	d := NewDirect(DirectOptions{})
	target := p.target(policy.QueueDepth)
	state := func() []string {
		return slices.Sorted(maps.Keys(d.targets[targetKey{"ml", "llama"}].pods))
	}
	d.Read(context.Background(), at(0), target)
	target.Pods = target.Pods[:1]
	d.Read(context.Background(), at(60), target)
	if len(state()) != 2 {
		t.Errorf("after a minute: %v", state())
	}
	d.Read(context.Background(), at(200), target)
	if len(state()) != 1 {
		t.Errorf("after three minutes: %v", state())
	}
	other := target
	other.Workload = "other"
	d.Read(context.Background(), at(400), other)
	if len(d.targets) != 1 {
		t.Errorf("%d targets", len(d.targets))
	}
}
