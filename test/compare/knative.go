package compare

import (
	"fmt"
	"math"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// Knative's defaults, of pkg/autoscaler/config/config.go and the ConfigMap config-autoscaler.
const (
	kpaTick              = 2 * time.Second
	kpaStableWindow      = 60 // seconds
	kpaPanicWindow       = 6  // seconds: panic-window-percentage 10
	kpaPanicThreshold    = 2.0
	kpaTargetUtilization = 0.7
	kpaMaxScaleUpRate    = 1000.0
	kpaMaxScaleDownRate  = 2.0
)

// knative is Knative's own autoscaler on concurrency, which is what runs and waits on all pods.
func knative() arm {
	// The pace is that of its scrapes; it decides at every other one.
	a := arm{name: "Knative, concurrency", interval: worldTick}
	for _, target := range []float64{100, 8, 12, 16, 24, 32} {
		for _, delay := range []time.Duration{0, 5 * time.Minute} {
			a.settings = append(a.settings, setting{
				name:  fmt.Sprintf("target %g, scale-down-delay %s", target, short(delay)),
				start: func(*hpa.Autoscaler, string) decide { return onConcurrency(target, delay) },
			})
		}
	}
	return a
}

// onConcurrency scrapes each second, as pkg/autoscaler/metrics/collector.go does, and decides every two.
func onConcurrency(target float64, delay time.Duration) decide {
	stable, panicking := newAverages(kpaStableWindow), newAverages(kpaPanicWindow)
	var next time.Time
	var k *kpa
	return func(_ policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
		ready := readyPods(&seen)
		if k == nil {
			k = newKPA(target*kpaTargetUtilization, delay, ready, now)
		}
		// No pod or no scrape: no stat.
		if concurrency, ok := concurrency(&seen); ok {
			stable.record(now, concurrency)
			panicking.record(now, concurrency)
		}
		if now.Before(next) || stable.empty(now) {
			return hold(&seen, now), state
		}
		next = now.Add(kpaTick)
		desired := k.scale(now, ready, stable.average(now), panicking.average(now))
		return to(&seen, min(max(desired, minReplicas), maxReplicas), now), state
	}
}

// concurrency is the number of requests that are in the pods.
func concurrency(seen *policy.Observation) (float64, bool) {
	queued, ok := total(seen, policy.QueueDepth)
	running, also := total(seen, policy.RunningRequests)
	return queued + running, ok && also
}

// readyPods counts the ready pods.
func readyPods(seen *policy.Observation) int {
	n := 0
	for i := range seen.Pods {
		if seen.Pods[i].Phase == policy.Ready {
			n++
		}
	}
	return n
}

// kpa is the autoscaler of pkg/autoscaler/scaling/autoscaler.go, with its names.
type kpa struct {
	targetValue, panicThreshold, maxScaleUpRate, maxScaleDownRate float64

	panicTime    time.Time
	maxPanicPods int
	delayWindow  *delayed // nil without a scale-down-delay
}

// newKPA returns one with default settings. More than one ready pod make it start in panic mode, which keeps them.
func newKPA(targetValue float64, delay time.Duration, ready int, now time.Time) *kpa {
	k := &kpa{
		targetValue: targetValue, panicThreshold: kpaPanicThreshold,
		maxScaleUpRate: kpaMaxScaleUpRate, maxScaleDownRate: kpaMaxScaleDownRate,
		maxPanicPods: ready,
	}
	if ready > 1 {
		k.panicTime = now
	}
	if delay > 0 {
		k.delayWindow = &delayed{window: delay}
	}
	return k
}

// scale is autoscaler.Scale for a revision that is reachable.
func (k *kpa) scale(now time.Time, ready int, observedStable, observedPanic float64) int {
	readyPodsCount := math.Max(1, float64(ready))
	maxScaleUp := math.Ceil(k.maxScaleUpRate * readyPodsCount)
	maxScaleDown := math.Floor(readyPodsCount / k.maxScaleDownRate)
	dspc := math.Ceil(observedStable / k.targetValue)
	dppc := math.Ceil(observedPanic / k.targetValue)
	desired := int(math.Min(math.Max(dspc, maxScaleDown), maxScaleUp))
	desiredPanic := int(math.Min(math.Max(dppc, maxScaleDown), maxScaleUp))

	overThreshold := dppc/readyPodsCount >= k.panicThreshold
	switch {
	case overThreshold:
		k.panicTime = now
	case !k.panicTime.IsZero() && k.panicTime.Add(kpaStableWindow*time.Second).Before(now):
		k.panicTime, k.maxPanicPods = time.Time{}, 0
	}
	if !k.panicTime.IsZero() {
		// In panic mode there are only increases.
		k.maxPanicPods = max(k.maxPanicPods, desired, desiredPanic)
		desired = k.maxPanicPods
	}
	if k.delayWindow != nil {
		desired = k.delayWindow.highest(now, desired)
	}
	return desired
}

// delayed is the largest value of a window, pkg/autoscaler/aggregation/max/timewindow.go: buckets of two seconds.
type delayed struct {
	window  time.Duration
	entries []delayedEntry
}

// delayedEntry is the largest value of one bucket.
type delayedEntry struct {
	bucket int64
	value  int
}

// highest records a value and returns the largest of the window.
func (d *delayed) highest(now time.Time, value int) int {
	granularity := int64(kpaTick / time.Second)
	bucket := now.Unix() / granularity
	buckets := int64(math.Ceil(d.window.Seconds() / kpaTick.Seconds()))
	d.entries = append(d.entries, delayedEntry{bucket, value})
	for d.entries[0].bucket <= bucket-buckets {
		d.entries = d.entries[1:]
	}
	for _, e := range d.entries {
		value = max(value, e.value)
	}
	return value
}

// averages is a window of one value a second, pkg/autoscaler/aggregation/bucketing.go.
type averages struct {
	buckets     []float64
	first, last int64 // seconds of the first write since the last gap, and of the last write
}

func newAverages(seconds int) *averages { return &averages{buckets: make([]float64, seconds)} }

// record writes the value of a second. Seconds without one since the last count 0, unless the whole window has passed.
func (a *averages) record(now time.Time, value float64) {
	at, size := now.Unix(), int64(len(a.buckets))
	if a.last == 0 || at-a.last >= size {
		clear(a.buckets)
		a.first = at
	} else {
		for t := a.last + 1; t <= at; t++ {
			a.buckets[t%size] = 0
		}
	}
	a.last = at
	a.buckets[at%size] = value
}

// empty reports whether nothing was written for longer than the window.
func (a *averages) empty(now time.Time) bool {
	return a.last == 0 || now.Unix()-a.last > int64(len(a.buckets))
}

// average is that of the window as far as it was written: of what is left of it if nothing was written lately.
func (a *averages) average(now time.Time) float64 {
	at, size := now.Unix(), int64(len(a.buckets))
	if at-a.last >= size {
		return 0
	}
	sum := 0.0
	for t := max(at-size+1, a.first); t <= a.last; t++ {
		sum += a.buckets[t%size]
	}
	n := min(a.last-a.first+1, size-(at-a.last))
	return math.Round(sum/float64(n)*1e6) / 1e6
}
