package metrics

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// TestRotation: of forty pods sixteen are asked in a tick, those asked longest ago first, so that none waits for more than three
// ticks; what the others said stays, until it is too old.
func TestRotation(t *testing.T) {
	var who asked
	p := newPods(t, 40, func(i int) http.Handler { return who.handler(i, newBook(fmt.Sprintf("tgi_queue_size %d\n", i))) })
	d := NewDirect(DirectOptions{MaxSampleAge: 60 * time.Second})
	target := p.target(policy.QueueDepth)
	last := map[int]int{}
	for tick := range 12 {
		r := d.Read(context.Background(), at(5*tick), target)
		if want := min(16*(tick+1), 40); r.Sampled != 16 || r.Failed != 0 || r.Pods != 40 || r.Results[0].Samples.Len() != want {
			t.Errorf("tick %d: %d sampled, %d failed, %d samples; want 16, 0, %d", tick, r.Sampled, r.Failed, r.Results[0].Samples.Len(), want)
		}
		for i := range who.take() {
			last[i] = tick
		}
		for i := range 40 {
			if tick-last[i] > 3 {
				t.Errorf("tick %d: p%d was asked %d ticks ago", tick, i, tick-last[i])
			}
		}
		for key, reading := range r.Results[0].Samples.All() {
			if fmt.Sprintf("p%g", reading.Value) != key.Pod {
				t.Errorf("%v reads %v", key, reading.Value)
			}
		}
	}
	// Nobody asks for more than a minute. The sixteen that are asked then are all there is.
	if r := d.Read(context.Background(), at(130), target); r.Results[0].Samples.Len() != 16 {
		t.Errorf("after a minute %d samples", r.Results[0].Samples.Len())
	}
}

// TestRotatedRates: rates of pods that are asked in every third tick.
func TestRotatedRates(t *testing.T) {
	var tick atomic.Int64
	p := newPods(t, 40, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			newBook(fmt.Sprintf("vllm:generation_tokens_total %d\n", 50*tick.Load())).ServeHTTP(w, r)
		})
	})
	d := NewDirect(DirectOptions{})
	for n, want := range []int{0, 0, 0, 16 - 8, 16 - 8 + 16, 40, 40} { // the third tick asks eight for the second time, too early
		tick.Store(int64(n))
		r := d.Read(context.Background(), at(5*n), p.target(policy.TokensPerSecond))
		if n == 2 || n == 3 || n == 4 {
			want = -1 // which of them are asked again when is TestRotation's matter
		}
		if got := r.Results[0].Samples.Len(); want >= 0 && got != want {
			t.Errorf("tick %d: %d rates, want %d", n, got, want)
		}
		for key, reading := range r.Results[0].Samples.All() {
			if reading.Value < 9.9 || reading.Value > 10.1 {
				t.Errorf("tick %d: %v reads %v, want 10", n, key, reading.Value)
			}
		}
	}
}
