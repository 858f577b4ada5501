package metrics

import (
	"iter"
	"time"
)

// PodKey names a pod.
type PodKey struct{ Namespace, Pod string }

// Reading is what one signal says about one pod.
type Reading struct {
	// Value is in the signal's unit (percent, requests, tokens/s, requests/s, seconds).
	Value float64
	// Time is when the sample was taken, by the server's clock. It is zero when the query bounded the age without
	// telling it: the sample is then at most the maximum age older than Result.ServerTime. Ages has exact times.
	Time time.Time
	// Source is the metric that the value came from; empty if the reply did not say.
	Source string
	// Idle says that a latency has no value because no request was counted in its window. It is not missing.
	Idle bool
}

// Samples holds one reading per pod. A pod that is not in it is missing, never 0. The zero value is empty. It is
// immutable.
type Samples struct {
	index    map[PodKey]int32
	readings []Reading
}

// NewSamples returns the samples of a map.
func NewSamples(readings map[PodKey]Reading) Samples {
	s := Samples{index: make(map[PodKey]int32, len(readings))}
	for key, reading := range readings {
		s.index[key] = int32(len(s.readings))
		s.readings = append(s.readings, reading)
	}
	return s
}

// Len is the number of pods.
func (s Samples) Len() int { return len(s.index) }

// Get returns the reading of a pod; ok is false if it is missing.
func (s Samples) Get(namespace, pod string) (reading Reading, ok bool) {
	i, ok := s.index[PodKey{namespace, pod}]
	if !ok {
		return Reading{}, false
	}
	return s.readings[i], true
}

// All iterates over the pods in no particular order.
func (s Samples) All() iter.Seq2[PodKey, Reading] {
	return func(yield func(PodKey, Reading) bool) {
		for key, i := range s.index {
			if !yield(key, s.readings[i]) {
				return
			}
		}
	}
}

// join adds the samples of other pods. It changes s.
func (s Samples) join(other Samples) Samples {
	for key, i := range other.index {
		if _, known := s.index[key]; known {
			continue
		}
		s.index[key] = int32(len(s.readings))
		s.readings = append(s.readings, other.readings[i])
	}
	return s
}
