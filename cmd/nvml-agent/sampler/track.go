package sampler

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// track is what is remembered of a device, over all openings of the library.
type track struct {
	info nvml.Info
	log  logr.Logger

	sampling sync.Mutex // held by the goroutine that samples
	line     line       // of that goroutine
	said     map[string]string

	mu       sync.Mutex
	readings []reading // the oldest first, those of the longest window
	lost     bool      // at the last attempt
}

// reading is one sample of a device. A value that is not known is NaN.
type reading struct {
	at          time.Time // before the first call
	utilization float64   // 0-1
	used        float64   // bytes
	total       float64   // bytes
	reserved    float64   // bytes
	power       float64   // watts
	// holder is the pod that held the device alone, if one did.
	holder pods.Pod
	// shares are those of the pods that share it.
	shares map[pods.Pod]share
}

// sample reads a device once a second until the context ends.
func (s *Sampler) sample(ctx context.Context, t *track, d nvml.Device) {
	t.sampling.Lock() // by one after the other, should the library have been opened again
	defer t.sampling.Unlock()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for t.line.free(ctx) && ctx.Err() == nil {
		if r, ok := s.read(ctx, t, d); ok {
			t.add(r)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	if !t.line.stuck.Load() {
		d.Close()
	}
}

// read takes one reading, false if nothing could be read or a call hung.
func (s *Sampler) read(ctx context.Context, t *track, d nvml.Device) (reading, bool) {
	p := pass{s: s, t: t}
	r := reading{at: time.Now(), utilization: math.NaN(), used: math.NaN(), total: math.NaN(), reserved: math.NaN(), power: math.NaN()}
	if v, ok := ask(ctx, &p, nvml.CallUtilization, d.Utilization); ok {
		r.utilization = v
	}
	if m, ok := ask(ctx, &p, nvml.CallMemory, d.Memory); ok {
		r.used, r.total = float64(m.Used), float64(m.Total)
		if m.ReservedKnown {
			r.reserved = float64(m.Reserved)
		}
	}
	if v, ok := ask(ctx, &p, nvml.CallPower, d.Power); ok {
		r.power = v
	}
	s.attribute(ctx, &p, &r, d)
	t.mu.Lock()
	t.lost = p.lost && p.good == 0
	t.mu.Unlock()
	return r, p.good > 0 && !p.hung
}

// attribute notes which pods the reading is of.
func (s *Sampler) attribute(ctx context.Context, p *pass, r *reading, d nvml.Device) {
	all, known := s.Holders()
	if !known {
		return
	}
	switch holders := all.Of(p.t.info); {
	case len(holders) == 1:
		r.holder = holders[0].Pod
	case len(holders) > 1:
		if processes, ok := ask(ctx, p, nvml.CallProcesses, d.Processes); ok {
			r.shares = divide(processes, holders, s.Processes, p.t.info.MIG(), r.total)
		}
	}
}

// pass is one attempt at all calls.
type pass struct {
	s    *Sampler
	t    *track
	good int  // calls that succeeded
	lost bool // one said that the GPU is lost
	hung bool // one did not return in time: the others are not made, what they would tell is of another time
}

// ask makes one call of a pass, false if there is no value.
func ask[T any](ctx context.Context, p *pass, name string, f func() (T, error)) (T, bool) {
	var none T
	if p.hung || ctx.Err() != nil {
		return none, false
	}
	value, err := call(p.s, &p.t.line, name, f)
	p.t.say(name, err)
	switch {
	case err == nil:
		p.good++
		return value, true
	case errors.Is(err, errHung):
		p.hung = true
	default:
		p.s.reported(err)
		p.lost = p.lost || lost(err)
	}
	return none, false
}

// say logs what a call did if that is news.
func (t *track) say(name string, err error) {
	if t.said == nil {
		t.said = map[string]string{}
	}
	before, now := t.said[name], ""
	if err != nil {
		now = err.Error()
	}
	t.said[name] = now
	switch {
	case now == before:
	case err == nil:
		t.log.Info("The driver tells it again", "call", name)
	case errors.Is(err, nvml.ErrUnavailable):
		t.log.V(1).Info("Not to be had of this device", "call", name, "why", now)
	default:
		t.log.Error(err, "A reading is missing", "call", name)
	}
}

// add remembers a reading and forgets those that no window needs.
func (t *track) add(r reading) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := 0
	for kept < len(t.readings) && r.at.Sub(t.readings[kept].at) >= longest {
		kept++
	}
	t.readings = append(t.readings[kept:], r)
}

// trouble reports whether the GPU was lost at last, and whether a call of it hangs.
func (t *track) trouble() (lost, hung bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost, t.line.stuck.Load()
}
