package sampler

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

const (
	// interval is the time between two samples of a device.
	interval = time.Second
	// patience is how long a call of the driver may take before it counts as hung.
	patience = 3 * time.Second
	// shownFor is how old the newest sample of a series may be.
	shownFor = 5 * time.Second
	// relist is how often the devices are listed again.
	relist = 10 * time.Second
	// retry is how long it waits before it opens the library again.
	retry = 30 * time.Second
	// maxRetry is how long it waits at most while all that is wrong is that a GPU is lost: opening the library again
	// disturbs the others.
	maxRetry = 16 * retry
)

// ReasonHung is the reason for a call that did not return.
const ReasonHung = "hung"

// attributor tells which pods processes are of.
type attributor interface {
	// Pod returns the pod of a process, false if that is not known.
	Pod(pid uint32) (pods.Pod, bool)
	// SeeAll reports whether a process that is not listed does not exist.
	SeeAll() bool
}

// Options are what a Sampler needs.
type Options struct {
	// Open opens the driver's library.
	Open func() (nvml.Library, error)
	// Holders returns who holds the devices, false if that is not known.
	Holders func() (pods.Holders, bool)
	// Processes tells which pods processes are of.
	Processes attributor
	// Failed is told of each failure: a call of package nvml, and a word for why.
	Failed func(call, reason string)
	Log    logr.Logger
}

// Sampler samples the devices of this node.
type Sampler struct {
	Options
	up     atomic.Bool
	flight atomic.Int32 // calls of the library that have not returned
	wait   time.Duration
	opened time.Time

	mu     sync.Mutex
	tracks map[nvml.Info]*track
}

// New makes a Sampler.
func New(o Options) *Sampler {
	return &Sampler{Options: o, tracks: map[nvml.Info]*track{}, wait: retry}
}

// Up reports whether the library is open.
func (s *Sampler) Up() bool { return s.up.Load() }

// Series returns what is known of the devices now.
func (s *Sampler) Series() []Series {
	now := time.Now()
	holders, known := s.Holders()
	var all []Series
	for _, t := range s.all() {
		var of []pods.Holder
		if known {
			of = holders.Of(t.info)
		}
		all = append(all, t.series(now, of)...)
	}
	return all
}

// all returns the devices that are known.
func (s *Sampler) all() []*track {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*track, 0, len(s.tracks))
	for _, t := range s.tracks {
		all = append(all, t)
	}
	return all
}

// track returns what is remembered of a device.
func (s *Sampler) track(info nvml.Info) *track {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tracks[info]
	if !ok {
		t = &track{info: info, log: s.Log.WithValues("uuid", info.UUID, "index", info.Index)}
		s.tracks[info] = t
	}
	return t
}

// forget drops what is remembered of a device.
func (s *Sampler) forget(info nvml.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tracks, info)
}
