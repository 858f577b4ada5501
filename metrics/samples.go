package metrics

import (
	"iter"
	"maps"
	"slices"
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
	// index may know pods that have no reading.
	index    map[PodKey]int32
	readings []compactReading
	sources  []string
	times    []time.Time // of the readings; nil if none is known
	found    int
}

// compactReading is a Reading as it is kept: there may be 100,000 of them.
type compactReading struct {
	value  float64
	source int16 // in sources, -1 if it is not known
	found  bool
	idle   bool
}

// NewSamples returns the samples of a map.
func NewSamples(readings map[PodKey]Reading) Samples {
	s := Samples{index: make(map[PodKey]int32, len(readings))}
	for key, r := range readings {
		s.index[key] = int32(len(s.readings))
		source := slices.Index(s.sources, r.Source)
		if source < 0 {
			source, s.sources = len(s.sources), append(s.sources, r.Source)
		}
		s.readings = append(s.readings, compactReading{value: r.Value, source: int16(source), found: true, idle: r.Idle})
		s.times = append(s.times, r.Time)
	}
	s.found = len(s.readings)
	return s
}

// Len is the number of pods.
func (s Samples) Len() int { return s.found }

// Get returns the reading of a pod; ok is false if it is missing.
func (s Samples) Get(namespace, pod string) (reading Reading, ok bool) {
	i, ok := s.index[PodKey{namespace, pod}]
	if !ok || !s.readings[i].found {
		return Reading{}, false
	}
	return s.at(i), true
}

// at is a reading by its place.
func (s Samples) at(i int32) Reading {
	r := Reading{Value: s.readings[i].value, Idle: s.readings[i].idle}
	if source := s.readings[i].source; source >= 0 {
		r.Source = s.sources[source]
	}
	if s.times != nil {
		r.Time = s.times[i]
	}
	return r
}

// All iterates over the pods in no particular order.
func (s Samples) All() iter.Seq2[PodKey, Reading] {
	return func(yield func(PodKey, Reading) bool) {
		for key, i := range s.index {
			if s.readings[i].found && !yield(key, s.at(i)) {
				return
			}
		}
	}
}

// join returns the samples together with those of other pods, read from the same sources, of which no time is known.
func (s Samples) join(other Samples) Samples {
	joined := Samples{
		index: maps.Clone(s.index), readings: slices.Concat(s.readings, other.readings), sources: s.sources, found: s.found + other.found,
	}
	for key, i := range other.index {
		if _, known := joined.index[key]; known {
			continue
		}
		joined.index[key] = int32(len(s.readings)) + i
	}
	return joined
}
