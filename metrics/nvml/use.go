//go:build linux && cgo

package nvml

import "math"

// useSample is one that the driver has taken of a process: its kernels ran for so many percent of the time.
type useSample struct {
	pid       uint32
	timestamp uint64 // µs of whatever clock the driver has
	percent   uint32
}

// use turns the driver's samples of processes, of which there are none for an idle process, into the use of each.
//
// The driver keeps old samples and hands out several of one process, so the newest of those not seen before counts. Its
// sampling period is up to a second, as ours is, and the two drift: one reading without a new sample is no idleness yet,
// two are. Only differences of the driver's clock are looked at, because nothing says what it shows.
type use struct {
	started bool
	newest  uint64
	known   map[uint32]useOf
}

// useOf is the last known use of a process.
type useOf struct {
	percent uint32
	held    bool // it is from the reading before
}

// since is the time of the newest sample that was taken; the driver is asked for those after it.
func (u *use) since() uint64 { return u.newest }

// take takes what the driver returned. The first time it is only remembered up to when: what was before is nobody's
// present use.
func (u *use) take(samples []useSample) {
	last, next := u.newest, map[uint32]useOf{}
	at := map[uint32]uint64{}
	for _, s := range samples {
		if s.timestamp <= last || s.timestamp < at[s.pid] {
			continue
		}
		at[s.pid] = s.timestamp
		next[s.pid] = useOf{percent: s.percent}
		u.newest = max(u.newest, s.timestamp)
	}
	if !u.started {
		u.started = true
		return
	}
	for pid, of := range u.known {
		if _, ok := next[pid]; !ok && !of.held {
			next[pid] = useOf{of.percent, true}
		}
	}
	u.known = next
}

// ready reports whether there has been a reading to compare with.
func (u *use) ready() bool { return u.known != nil }

// of is the use of a process, 0-1, NaN if it is not known.
func (u *use) of(pid uint32) float64 {
	if !u.ready() {
		return math.NaN()
	}
	ratio, err := fraction(CallProcesses, float64(u.known[pid].percent))
	if err != nil {
		return math.NaN()
	}
	return ratio
}
