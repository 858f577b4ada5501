package policy

import "time"

// Zero (rule 9). Absence of data is neither idleness nor work.

// idleUtilization is the percentage below which a GPU does no work worth the name.
const idleUtilization = 5

// atZero decides about a Deployment without replicas: only our own zero is left, and only for work that is seen or a minimum.
func (d *Decision) atZero(spec *Spec, state *State, b bounds, seen *Observation, now time.Time) Stage {
	restored := state.restored(b, now)
	switch {
	case restored > 0:
		return Stage{Replicas: restored, Reason: ReplicasReset}
	case !state.ourZero(spec, seen):
		return Stage{Reason: ScalingDisabled}
	case b.minimum > 0:
		return b.lower()
	case spec.ActivateOn == "":
		return Stage{Reason: ScalingDisabled}
	}
	s := SignalDecision{Signal: spec.ActivateOn, Target: spec.targetOf(spec.ActivateOn)}
	defer func() { d.Signals = append(d.Signals, s) }()
	reading := s.find(seen)
	if reading == nil || !reading.PerWorkload {
		return Stage{Reason: NoData}
	}
	m, ok := s.workload(spec, reading, now)
	switch {
	case !ok:
		return Stage{Reason: s.Reason}
	case m == 0:
		return Stage{Reason: Idle}
	}
	s.Recommended = 1
	if s.Target > 0 {
		s.Recommended = max(1, ceil(float64(m)/float64(targetMilli(s.Target))))
	}
	most := b.maximum
	if seen.FreeKnown {
		most = min(most, max(1, seen.Free+spec.pendingAllowed(&state.Shortage, now)))
	}
	return Stage{Replicas: min(s.Recommended, most), Reason: Activated}
}

// rest keeps account of how long no work has been seen.
func (s *State) rest(spec *Spec, seen *Observation, d *Decision, now time.Time) {
	switch {
	case spec.IdleAfter == 0 || spec.ActivateOn == "":
	case !d.idle(spec, seen, now):
		s.IdleSince = time.Time{}
	case s.IdleSince.IsZero():
		s.IdleSince = now
	}
}

// idle reports whether the activation signal and all configured signals, sampled on every ready pod, show no work.
func (d *Decision) idle(spec *Spec, seen *Observation, now time.Time) bool {
	activation := seen.reading(spec.ActivateOn)
	if activation == nil || activation.Problem != "" || !activation.PerWorkload {
		return false
	}
	if m, ok, _ := activation.Workload.usable(spec.MaxSampleAge, now); !ok || m != 0 {
		return false
	}
	for i := range d.Signals {
		s := &d.Signals[i]
		switch {
		case s.Signal == GPUMemory:
		case s.incomplete() || s.Missing > 0 || s.Sampled+s.Idle == 0:
			return false
		case s.Signal == GPUUtilization && s.most >= idleUtilization*1000,
			s.Signal != GPUUtilization && s.most > 0:
			return false
		}
	}
	return true
}

// mayRest reports whether no work has been seen for long enough.
func (s *State) mayRest(spec *Spec, b bounds, now time.Time) bool {
	return b.minimum == 0 && !s.IdleSince.IsZero() && now.Sub(s.IdleSince) >= spec.IdleAfter
}
