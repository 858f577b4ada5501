package controller

import (
	"testing"
	"time"
	"unsafe"
)

// jumped returns a time whose wall clock was adjusted since the process started: its monotonic reading stays.
func jumped(t time.Time, seconds int64) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t)) // the first word of a time.Time: 33 bits of seconds above 30 bits of nanoseconds
	*wall += uint64(seconds << 30)
	return t
}

// A leader that slept while another took over must not write when it wakes.
func TestGateIsShutAfterSleep(t *testing.T) {
	for seconds, open := range map[int64]bool{0: true, -3600: false, 3600: true} {
		l := &lease{}
		renewed := jumped(time.Now(), seconds)
		l.renewed.Store(&renewed)
		if _, err := l.gate(); (err == nil) != open {
			t.Errorf("renewed %d s ago by the wall clock and just now by the other: %v, want open=%v", -seconds, err, open)
		}
	}
}

// After the machine slept, or the clock was set, ticks are as of the present time and at the same distance as ever.
func TestTicksFollowTheWallClock(t *testing.T) {
	last := time.Now()
	next := last.Add(5 * time.Second)
	after := jumped(last, 3600).Add(5*time.Second + 3*time.Millisecond) // woken a little late
	if after.Sub(last) != 5*time.Second+3*time.Millisecond {
		t.Fatalf("%v is no time after an adjustment: %v after %v", after, after.Sub(last), last)
	}
	got := present(next, after)
	if want := next.Round(0).Add(time.Hour); !got.Round(0).Equal(want) {
		t.Errorf("a tick as of %v, want %v", got, want)
	}
	if got.Sub(last) != 5*time.Second {
		t.Errorf("%v after the last tick, want the interval", got.Sub(last))
	}
}
