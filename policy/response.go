package policy

import (
	"fmt"
	"time"
)

// Not responding (rule 6): adding replicas that does not lower the signal costs GPUs and helps nobody.

// Trial is a raise whose effect is still to be seen.
type Trial struct {
	// Signal asked for it, with Value per replica on Replicas ready ones.
	Signal   Signal  `json:"signal"`
	Value    float64 `json:"value"`
	Replicas int     `json:"replicas"`
	// Load is what arrived then, if Loaded says that it is known.
	Load   float64 `json:"load,omitempty"`
	Loaded bool    `json:"loaded,omitempty"`
	// Time is when the raise was written.
	Time time.Time `json:"time"`
}

// Deafness counts the raises in a row after which a signal did not fall.
type Deafness struct {
	Signal Signal `json:"signal"`
	Raises int    `json:"raises"`
	// Loaded says that what arrived is known not to have risen meanwhile.
	Loaded bool `json:"loaded,omitempty"`
}

const (
	// leastFall is the share of the fall in proportion that counts as a response.
	leastFall = 0.25
	// loadNoise is how much more may arrive before it is said to have risen: a rate is never the same twice.
	loadNoise = 1.05
	// saturated is the utilization from which on more load cannot be told.
	saturated = 99
)

// try begins to watch what a raise brings. Of raises that follow before it is seen, all are judged together.
func (s *State) try(d *Decision, now time.Time) {
	lead := d.Leading()
	if lead == nil || lead.Target == 0 || lead.perWorkload || d.Desired <= d.Current {
		return
	}
	if s.Trial.Signal == lead.Signal {
		s.Trial.Time = now
		return
	}
	s.Trial = Trial{Signal: lead.Signal, Value: lead.Value, Replicas: lead.Sampled, Load: d.load, Loaded: d.loaded, Time: now}
}

// judge sees whether the signal has fallen since the raise under trial, once its pods are Ready and all of them are read again.
func (s *State) judge(spec *Spec, sd *SignalDecision, t tally, f *Fleet, seen *Observation, now time.Time) {
	trial := s.Trial
	if trial.Signal != sd.Signal || t.missing > 0 {
		return
	}
	at, ok := f.settled(spec, seen, trial.Time, now)
	if !ok || t.oldest.Before(at) {
		return
	}
	s.Trial = Trial{}
	if t.sampled <= trial.Replicas || seen.Rollout {
		return
	}
	load, loaded := seen.load(spec, now)
	loaded = loaded && trial.Loaded
	if loaded && load > loadNoise*trial.Load {
		return
	}
	if sd.Signal == GPUUtilization && min(sd.Value, trial.Value) >= saturated && !queueEmpty(spec, seen, now) {
		return
	}
	s.verdict(&trial, sd, t, loaded)
}

// verdict notes whether the signal fell.
func (s *State) verdict(trial *Trial, sd *SignalDecision, t tally, loaded bool) {
	predicted := trial.Value * (1 - float64(trial.Replicas)/float64(t.sampled))
	switch {
	case trial.Value-sd.Value >= leastFall*predicted:
		s.Deaf = Deafness{}
	case s.Deaf.Signal == sd.Signal:
		s.Deaf.Raises++
		s.Deaf.Loaded = s.Deaf.Loaded && loaded
	default:
		s.Deaf = Deafness{Signal: sd.Signal, Raises: 1, Loaded: loaded}
	}
}

// deaf reports whether a signal does not respond, and whether further raises because of it are forbidden.
func (s *State) deaf(spec *Spec, signal Signal) (deaf, stop bool) {
	if s.Deaf.Signal != signal || signal == "" {
		return false, false
	}
	if signal == GPUMemory {
		return s.Deaf.Raises >= 1, !spec.WarnNotResponding
	}
	return s.Deaf.Raises >= 2, spec.StopNotResponding && s.Deaf.Loaded
}

// respond forbids the raise that a signal asks for if raises have not helped. Whoever asks for no more is forgiven.
func (d *Decision) respond(spec *Spec, state *State, s *SignalDecision, t tally) {
	if s.Recommended <= d.Current {
		if state.Deaf.Signal == s.Signal && state.Trial.Signal != s.Signal && t.loading == 0 && s.Reason != LoadingPods {
			state.Deaf = Deafness{}
		}
		return
	}
	deaf, stop := state.deaf(spec, s.Signal)
	if !deaf {
		return
	}
	d.note(NotResponding, fmt.Sprintf("%s has not fallen after replicas were added%s", s.Signal, deafHint(s.Signal)))
	if stop {
		s.Recommended, s.Reason = d.Current, NotResponding
	}
}

// deafHint tells what may be behind it.
func deafHint(s Signal) string {
	switch s {
	case GPUMemory:
		return ": the engine takes its memory in advance; use another signal"
	case GPUUtilization:
		return ": the engine may keep the GPU busy at any load, or requests do not reach the new pods"
	}
	return ": requests may not reach the new pods"
}

// load returns what arrives now: requests per second over all pods, or else the activation signal.
func (o *Observation) load(spec *Spec, now time.Time) (total float64, ok bool) {
	if r := o.reading(RequestsPerSecond); r != nil && r.Problem == "" && !r.PerWorkload {
		for i := range r.Samples {
			if _, usable, _ := r.Samples[i].usable(spec.MaxSampleAge, now); usable {
				total, ok = total+r.Samples[i].Value, true
			}
		}
		if ok {
			return total, true
		}
	}
	if r := o.reading(spec.ActivateOn); spec.ActivateOn != "" && r != nil && r.Problem == "" && r.PerWorkload {
		m, usable, _ := r.Workload.usable(spec.MaxSampleAge, now)
		return float64(m) / 1000, usable
	}
	return 0, false
}

// queueEmpty reports whether nothing is known to wait on any pod.
func queueEmpty(spec *Spec, seen *Observation, now time.Time) bool {
	r := seen.reading(QueueDepth)
	if r == nil || r.Problem != "" || r.PerWorkload {
		return false
	}
	for i := range seen.Pods {
		if seen.Pods[i].Phase != Ready {
			continue
		}
		if i >= len(r.Samples) {
			return false
		}
		if m, ok, _ := r.Samples[i].usable(spec.MaxSampleAge, now); !ok || m != 0 {
			return false
		}
	}
	return true
}
