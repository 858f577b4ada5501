package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Signal is what was read of one signal, and what it asks for.
type Signal struct {
	Signal policy.Signal `json:"signal"`
	// Unit is that of its readings, empty for a custom one.
	Unit string `json:"unit,omitempty"`
	policy.SignalSummary
	// Sampled are how many pods have a sample that counts.
	Sampled int `json:"sampled"`
	// Lowest and Highest are what the samples that count spread between; both 0 if none does.
	Lowest  float64 `json:"lowest,omitzero"`
	Highest float64 `json:"highest,omitzero"`
	// MissingPods have no sample that counts. StalePods are those of them whose sample is too old, HangingPods do not count.
	MissingPods []string `json:"missingPods,omitempty"`
	StalePods   []string `json:"stalePods,omitempty"`
	HangingPods []string `json:"hangingPods,omitempty"`
	// Oldest and Newest are when the samples that count were taken, zero if that is not known.
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// MaxAge is the age in seconds that no sample which counts is beyond.
	MaxAge float64 `json:"maxAgeSeconds,omitempty"`
	// PerWorkload says that it is one number for the whole workload.
	PerWorkload bool `json:"perWorkload,omitempty"`

	// pods are those whose samples count.
	pods []string
}

// Date fills in when the samples were taken, if that can be told of all of them: taken returns the zero time where it cannot.
func (s *Signal) Date(taken func(pod string) time.Time) {
	var oldest, newest time.Time
	for _, pod := range s.pods {
		at := taken(pod).UTC()
		if at.IsZero() {
			return
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
		if at.After(newest) {
			newest = at
		}
	}
	s.Oldest, s.Newest = oldest, newest
}

// Age tells how old the samples are at a time.
func (s *Signal) Age(at time.Time) string {
	switch {
	case s.Sampled == 0:
		return "-"
	case s.Oldest.IsZero():
		return "at most " + span(time.Duration(s.MaxAge*float64(time.Second)))
	}
	newest, oldest := span(max(at.Sub(s.Newest), 0)), span(max(at.Sub(s.Oldest), 0))
	if newest == oldest {
		return oldest
	}
	return newest + " to " + oldest
}

// Lacks names the pods without a sample that counts, empty if there are none.
func (s *Signal) Lacks() string {
	var missing []string
	for _, name := range s.MissingPods {
		if !slices.Contains(s.StalePods, name) {
			missing = append(missing, name)
		}
	}
	var parts []string
	for _, group := range []struct {
		what string
		pods []string
	}{{"no sample of", missing}, {"too old a sample of", s.StalePods}, {"no token comes from", s.HangingPods}} {
		if len(group.pods) > 0 {
			parts = append(parts, group.what+" "+few(group.pods))
		}
	}
	return strings.Join(parts, "; ")
}

// few names the first ones.
func few(names []string) string {
	const shown = 5
	if more := len(names) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), more)
	}
	return listed(names)
}

// InOrder returns signals in the order of the documentation, custom ones by name after them.
func InOrder(of map[policy.Signal]policy.SignalSummary) []policy.Signal {
	var list []policy.Signal
	for _, info := range policy.Signals() {
		if _, ok := of[info.Signal]; ok {
			list = append(list, info.Signal)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(of)) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// signalsOf tells what an outcome says of its signals.
func signalsOf(o *policy.Outcome) []Signal {
	list := []Signal{}
	for _, signal := range InOrder(o.Signals) {
		info, _ := signal.Info()
		list = append(list, Signal{Signal: signal, Unit: info.Unit, SignalSummary: o.Signals[signal]})
	}
	return list
}

// sampled adds what the readings tell: which pods were read, and when.
func (s *Signal) sampled(in *policy.Input, d *policy.Decision, next *policy.State) {
	s.MaxAge = in.Spec.MaxSampleAge.Seconds()
	r := find(&in.Seen, s.Signal)
	if r == nil || r.Problem != "" {
		r = &policy.Reading{Signal: s.Signal} // nothing in it is used
	}
	if s.PerWorkload = r.PerWorkload; r.PerWorkload {
		if s.Value != nil {
			s.Sampled, s.Oldest, s.Newest = 1, r.Workload.Time.UTC(), r.Workload.Time.UTC()
		}
		return
	}
	taken := map[string]time.Time{}
	for i, standing := range d.Standings(&in.Spec, next, &in.Seen, r) {
		name := in.Seen.Pods[i].Name
		switch standing {
		case policy.Sampled:
			s.pods, taken[name] = append(s.pods, name), r.Samples[i].Time
			s.spread(r.Samples[i].Value)
		case policy.Missing:
			s.MissingPods = append(s.MissingPods, name)
		case policy.Stale:
			s.MissingPods, s.StalePods = append(s.MissingPods, name), append(s.StalePods, name)
		case policy.Hanging:
			s.HangingPods = append(s.HangingPods, name)
		}
	}
	s.Sampled = len(s.pods)
	s.Date(func(pod string) time.Time { return taken[pod] })
}

// spread widens the spread by the value of a pod that has just been taken in.
func (s *Signal) spread(value float64) {
	if len(s.pods) == 1 {
		s.Lowest, s.Highest = value, value
	}
	s.Lowest, s.Highest = min(s.Lowest, value), max(s.Highest, value)
}

// find returns the reading of a signal, nil if there is none.
func find(seen *policy.Observation, signal policy.Signal) *policy.Reading {
	for i := range seen.Readings {
		if seen.Readings[i].Signal == signal {
			return &seen.Readings[i]
		}
	}
	return nil
}
