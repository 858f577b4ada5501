package sampler

import (
	"math"
	"time"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// longest is the longest window.
const longest = 15 * time.Second

// Windows are the times over which means are taken, in the order of Series.Means.
var Windows = [3]time.Duration{time.Second, 5 * time.Second, longest}

// Series is what is known now of a device, or of one pod's share of it. What is not known is NaN.
type Series struct {
	Info nvml.Info
	// Holder is the pod it is about, zero if no pod holds the device or several do.
	Holder pods.Holder
	// Newest is the time of the newest sample.
	Newest time.Time
	// Total and Reserved are memory in bytes.
	Total, Reserved float64
	// Means are over each of Windows, up to the newest sample.
	Means [3]Means
}

// Means are over one window.
type Means struct {
	Utilization float64 // 0-1
	Used        float64 // bytes
	Power       float64 // watts
}

// series returns what is known of a device that is held by these pods.
func (t *track) series(now time.Time, holders []pods.Holder) []Series {
	t.mu.Lock()
	readings := t.readings[:len(t.readings):len(t.readings)] // add appends and cuts, it changes none
	t.mu.Unlock()
	if len(holders) == 1 {
		// What was read before the pod came is another's.
		return t.of(now, holders[0], only(readings, holders[0].Pod))
	}
	all := t.of(now, pods.Holder{}, readings)
	for _, h := range holders {
		all = append(all, t.of(now, h, shared(readings, h.Pod))...)
	}
	return all
}

// only returns the readings of the time when a pod alone held the device.
func only(readings []reading, pod pods.Pod) []reading {
	var its []reading
	for _, r := range readings {
		if r.holder == pod {
			its = append(its, r)
		}
	}
	return its
}

// shared returns a pod's part of the readings in which it has one.
func shared(readings []reading, pod pods.Pod) []reading {
	var its []reading
	for _, r := range readings {
		if s, ok := r.shares[pod]; ok {
			its = append(its, reading{
				at: r.at, utilization: s.utilization, used: s.memory, total: r.total, reserved: math.NaN(), power: math.NaN(),
			})
		}
	}
	return its
}

// of makes the series of readings, none if the newest is too old.
func (t *track) of(now time.Time, holder pods.Holder, readings []reading) []Series {
	if len(readings) == 0 {
		return nil
	}
	newest := readings[len(readings)-1]
	if now.Sub(newest.at) > shownFor {
		return nil
	}
	series := Series{Info: t.info, Holder: holder, Newest: newest.at, Total: newest.total, Reserved: newest.reserved}
	for n, window := range Windows {
		within := readings
		for newest.at.Sub(within[0].at) >= window {
			within = within[1:]
		}
		series.Means[n] = Means{
			Utilization: mean(now, within, func(r *reading) float64 { return r.utilization }),
			Used:        mean(now, within, func(r *reading) float64 { return r.used }),
			Power:       mean(now, within, func(r *reading) float64 { return r.power }),
		}
	}
	return []Series{series}
}

// mean is that of the values that are known, NaN if the newest of them is too old or there is none.
func mean(now time.Time, readings []reading, value func(*reading) float64) float64 {
	sum, count, newest := 0.0, 0, time.Time{}
	for n := range readings {
		if v := value(&readings[n]); !math.IsNaN(v) {
			sum, count, newest = sum+v, count+1, readings[n].at
		}
	}
	if count == 0 || now.Sub(newest) > shownFor {
		return math.NaN()
	}
	return sum / float64(count)
}
