package sampler

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// errHung is the end of a call that took too long. What it returns in the end is too old to be used.
var errHung = errors.New("the driver did not return in time")

// line is one line of calls, each made when the one before has returned: that of a device, or that of listing.
type line struct {
	pending chan struct{} // closed when the call under way has returned; nil if there has been none
	stuck   atomic.Bool   // it hangs
}

// free waits until no call is under way, false if the context ends first.
func (l *line) free(ctx context.Context) bool {
	if l.pending == nil {
		return true
	}
	select {
	case <-l.pending:
		l.stuck.Store(false)
		return true
	case <-ctx.Done():
		return false
	}
}

// call makes a call of the library on a line that is free. One that hangs is reported and left alone, since there is no
// way to end it; the line is free again when it returns. To make another would only have two threads hang.
func call[T any](s *Sampler, on *line, name string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	returned, pending := make(chan result, 1), make(chan struct{})
	on.pending = pending
	s.flight.Add(1)
	go func() {
		defer close(pending)
		defer s.flight.Add(-1)
		value, err := f()
		returned <- result{value, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-returned:
		return r.value, r.err
	case <-timer.C:
	}
	on.stuck.Store(true)
	s.Failed(name, ReasonHung)
	s.Log.Info("The driver hangs in a call; what it concerns is not known until it returns", "call", name)
	return none, errHung
}

// reported tells of the failures in an error.
func (s *Sampler) reported(err error) {
	for _, e := range nvml.AllErrors(err) {
		s.Failed(e.Call, e.Reason)
	}
}

// lost reports whether an error is, or is about, a GPU that is lost.
func lost(err error) bool {
	for _, e := range nvml.AllErrors(err) {
		if e.Reason == nvml.ReasonLost {
			return true
		}
	}
	return false
}
