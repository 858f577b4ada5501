package policy

import (
	"slices"
	"strings"
)

// Signal names one thing that is measured, such as the number of waiting requests. The names are those of the
// annotations: target.queue-depth asks for a target on QueueDepth.
type Signal string

// The built-in signals. Any other name is a custom signal, defined by a query that the administrator named.
const (
	GPUUtilization    Signal = "gpu-utilization"
	GPUMemory         Signal = "gpu-memory"
	TokensPerSecond   Signal = "tokens-per-second"
	RequestsPerSecond Signal = "requests-per-second"
	QueueDepth        Signal = "queue-depth"
	RunningRequests   Signal = "running-requests"
	KVCache           Signal = "kv-cache"
	TTFTP95           Signal = "ttft-p95"
	InterTokenP95     Signal = "inter-token-p95"
	QueueTimeP95      Signal = "queue-time-p95"
)

// SignalInfo is what is known of a built-in signal.
type SignalInfo struct {
	Signal Signal
	// Unit is the unit of its readings and of its target, in words.
	Unit string
	// Max is the largest value that a reading can have, 0 if there is none.
	Max float64
	// Targetable says that its readings fall in proportion when replicas rise, so that it may have a target.
	Targetable bool
	// RaiseOnly says that it may raise the number of replicas and never lowers it: engines that preallocate
	// memory never give it back, and an empty cache does not mean an empty queue.
	RaiseOnly bool
}

// signals is the table of design section 3, in its order.
var signals = []SignalInfo{
	{Signal: GPUUtilization, Unit: "percent", Max: 100, Targetable: true},
	{Signal: GPUMemory, Unit: "percent of framebuffer", Max: 100, Targetable: true, RaiseOnly: true},
	{Signal: TokensPerSecond, Unit: "tokens/s", Targetable: true},
	{Signal: RequestsPerSecond, Unit: "requests/s", Targetable: true},
	{Signal: QueueDepth, Unit: "waiting requests", Targetable: true},
	{Signal: RunningRequests, Unit: "running requests", Targetable: true},
	{Signal: KVCache, Unit: "percent", Max: 100, Targetable: true, RaiseOnly: true},
	{Signal: TTFTP95, Unit: "seconds"},
	{Signal: InterTokenP95, Unit: "seconds"},
	{Signal: QueueTimeP95, Unit: "seconds"},
}

// Signals returns the built-in signals in the order of the documentation.
func Signals() []SignalInfo { return slices.Clone(signals) }

// Info returns what is known of a built-in signal; ok is false for any other name.
func (s Signal) Info() (info SignalInfo, ok bool) {
	for i := range signals {
		if signals[i].Signal == s {
			return signals[i], true
		}
	}
	return SignalInfo{}, false
}

// IsName reports whether this can name a signal. A signal is a part of the name of an annotation.
func (s Signal) IsName() bool { return isName(strings.ReplaceAll(string(s), "_", "-")) }

// raiseOnly reports whether the signal never lowers the number of replicas.
func (s Signal) raiseOnly() bool { return s == GPUMemory || s == KVCache }

// overRange is how far above its range a reading may be to be taken for its end: exporters round and average.
const overRange = 1.05

// InRange returns a reading as it counts: one just above the signal's range is clamped to its end. ok is false for what cannot be
// read, such as a negative number or 4294967295 percent.
func (s Signal) InRange(v float64) (in float64, ok bool) {
	if _, ok := milli(v); !ok {
		return 0, false
	}
	info, _ := s.Info()
	switch {
	case info.Max == 0 || v <= info.Max:
		return v, true
	case v <= overRange*info.Max:
		return info.Max, true
	}
	return 0, false
}
