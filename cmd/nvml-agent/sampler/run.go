package sampler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// Run samples until the context ends. Without a driver it waits for one.
func (s *Sampler) Run(ctx context.Context) {
	var said string
	opening := &line{}
	for ctx.Err() == nil && opening.free(ctx) {
		library, err := call(s, opening, nvml.CallInit, s.Open)
		if err != nil {
			s.reported(err)
			if err.Error() != said && ctx.Err() == nil {
				said = err.Error()
				s.Log.Error(err, "There is nothing to read; trying again every "+retry.String())
			}
			pause(ctx, retry)
			continue
		}
		said = ""
		s.opened = time.Now()
		s.up.Store(true)
		s.Log.Info("Reading NVML")
		again := s.serve(ctx, library)
		s.up.Store(false)
		s.shut(library)
		pause(ctx, again)
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// shut closes the library, unless a call is still inside of it: it would return into nothing.
func (s *Sampler) shut(library nvml.Library) {
	if s.flight.Load() > 0 {
		return
	}
	if err := library.Close(); err != nil {
		s.reported(err)
		s.Log.Error(err, "Closing the library")
	}
}

// serve samples the devices of an open library. It returns when the library has to be opened again, and how long to
// wait before that.
func (s *Sampler) serve(ctx context.Context, library nvml.Library) time.Duration {
	ctx, stop := context.WithCancel(ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer stop()
	var said string
	listing := &line{}
	running := map[nvml.Info]context.CancelFunc{}
	ticker := time.NewTicker(relist)
	defer ticker.Stop()
	for listing.free(ctx) {
		devices, err := call(s, listing, nvml.CallList, library.Devices)
		if ctx.Err() != nil {
			return 0
		}
		s.reported(err)
		if err != nil && err.Error() != said {
			s.Log.Error(err, "Listing the devices", "listed", len(devices))
		}
		said = fmt.Sprint(err)
		if err != nil && !errors.Is(err, errHung) && devices == nil && !lost(err) {
			return retry // the driver went away
		}
		s.follow(ctx, &loops, running, devices, err == nil)
		if s.reopen(lost(err)) {
			return 0
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return 0
}

// follow starts to sample the devices that are new and, if the list is complete, ends it for those that are gone.
func (s *Sampler) follow(ctx context.Context, loops *sync.WaitGroup, running map[nvml.Info]context.CancelFunc, devices []nvml.Device, complete bool) {
	listed := map[nvml.Info]bool{}
	for _, d := range devices {
		info := d.Info()
		listed[info] = true
		if running[info] != nil {
			d.Close() // the one that is being sampled is as good
			continue
		}
		within, cancel := context.WithCancel(ctx)
		running[info] = cancel
		t := s.track(info)
		loops.Go(func() { s.sample(within, t, d) })
		t.log.Info("Sampling", "model", info.Model, "migProfile", info.MIGProfile)
	}
	if !complete {
		return
	}
	for _, t := range s.all() {
		if listed[t.info] {
			continue
		}
		if cancel := running[t.info]; cancel != nil {
			cancel()
			delete(running, t.info)
		}
		s.forget(t.info)
		t.log.Info("The device is gone")
	}
}

// reopen reports whether the library should be opened again because a GPU is lost: one that was reset is only found by
// a library that was opened after it. It is not worth it while a call hangs, because then it cannot be closed, and each
// time in vain is followed by a longer wait.
func (s *Sampler) reopen(lost bool) bool {
	hung := false
	for _, t := range s.all() {
		isLost, isHung := t.trouble()
		lost, hung = lost || isLost, hung || isHung
	}
	if !lost {
		s.wait = retry
		return false
	}
	if hung || time.Since(s.opened) < s.wait {
		return false
	}
	s.wait = min(2*s.wait, maxRetry)
	s.Log.Info("A GPU is lost: opening the library again")
	return true
}
