package policy

import (
	"math"
	"time"
)

// trust says what the signals of a tick can be trusted for (rule 1: missing is not zero).
type trust struct {
	// raise and lower say whether the data suffices for each direction.
	raise, lower bool
	// reason is why not, empty if it does.
	reason Reason
}

// recommend asks every signal and takes the largest answer. A signal that only raises abstains unless it asks for more.
func (d *Decision) recommend(spec *Spec, state *State, seen *Observation, now time.Time) trust {
	if n := len(spec.Targets) + len(spec.Steps); n > 0 {
		d.Signals = make([]SignalDecision, n)
	}
	t := trust{lower: true}
	d.Recommended = Stage{Replicas: d.Current, Reason: DesiredWithinRange}
	answered := false
	for i := range d.Signals {
		s := &d.Signals[i]
		if i < len(spec.Targets) {
			*s = d.ask(spec, state, spec.Targets[i], seen, now)
		} else {
			*s = d.askSteps(spec, state, &spec.Steps[i-len(spec.Targets)], seen, now)
		}
		if s.incomplete() {
			t.distrust(s.Reason)
		}
		if s.Sampled+s.Idle == 0 {
			continue
		}
		t.raise = true
		if s.Signal.raiseOnly() && s.Recommended <= d.Current {
			s.abstain(d.Current)
			if !answered && s.Reason != "" {
				d.Recommended.Reason = s.outcome(d.Current)
			}
			continue
		}
		if !answered || s.Recommended > d.Recommended.Replicas {
			answered = true
			d.Recommended = Stage{Replicas: s.Recommended, Reason: s.outcome(d.Current)}
		}
	}
	if !t.raise && len(d.Signals) > 0 {
		d.Recommended = Stage{Replicas: d.Current, Reason: t.reason}
	}
	return t
}

// read keeps account of what the signals say of single pods, before they are asked.
func (s *State) read(spec *Spec, seen *Observation, now time.Time) {
	s.watchStalls(spec, seen, now)
	s.watchRates(spec, seen, now)
}

// abstain makes the signal ask for no change.
func (s *SignalDecision) abstain(current int) {
	s.Recommended, s.steps, s.abstains = current, nil, true
}

// incomplete reports whether rule 1 forbids lowering because of this signal.
func (s *SignalDecision) incomplete() bool {
	return s.Reason == NoData || s.Reason == StaleData || s.Reason == PartialData || s.Reason == Stalled
}

// distrust forbids lowering. The first reason found is told.
func (t *trust) distrust(r Reason) {
	t.lower = false
	if t.reason == "" {
		t.reason = r
	}
}

// outcome is the reason for the number that a scored signal asks for.
func (s *SignalDecision) outcome(current int) Reason {
	switch {
	case s.Recommended != current:
		return ReadyForNewScale
	case s.Reason == WithinTolerance, s.Reason == LoadingPods, s.Reason == NotResponding:
		return s.Reason
	default:
		return DesiredWithinRange
	}
}

// ask scores one signal against its target.
func (d *Decision) ask(spec *Spec, state *State, target Target, seen *Observation, now time.Time) SignalDecision {
	s := SignalDecision{Signal: target.Signal, Target: target.Value, Recommended: d.Current}
	reading := s.find(seen)
	switch {
	case reading == nil:
	case reading.PerWorkload:
		if m, ok := s.workload(spec, reading, now); ok {
			s.Recommended, s.Reason = spec.share(m, targetMilli(s.Target), d.Current)
			s.Value /= float64(d.Current)
		}
	default:
		if t := s.count(d, spec, state, seen, reading, now); t.sampled > 0 {
			d.score(&s, spec, state, seen, t, now)
		}
	}
	return s
}

// score turns what the pods read into replicas.
func (d *Decision) score(s *SignalDecision, spec *Spec, state *State, seen *Observation, t tally, now time.Time) {
	// Replicas that nobody can place are not there to be kept, and those that hang do no work.
	current := max(d.Current-d.Fleet.Unschedulable-t.stalled, 1)
	if seen.Rollout {
		s.Recommended, s.Reason = spec.replace(t, targetMilli(s.Target), current)
	} else {
		s.Recommended, s.Reason = spec.fill(t, targetMilli(s.Target), current)
	}
	if t.stalled > 0 {
		s.Recommended = spec.besides(s.Recommended, current, t.stalled, d.Current)
	}
	if s.Signal == QueueDepth {
		s.backlog(d, spec, state, seen, t, now)
	}
	if s.Signal == GPUUtilization && s.Recommended > d.Current && d.waits(spec, state, seen, t, now) {
		s.Recommended, s.Reason = d.Current, LoadingPods
	}
	state.judge(spec, s, t, &d.Fleet, seen, now)
	d.respond(spec, state, s, t)
	s.complete(t)
}

// waits reports whether a raise on utilization would answer the same demand twice: what the last raise has brought is still loading, or
// has not been seen at work yet. A GPU that is busy cannot show how much more there is to do.
func (d *Decision) waits(spec *Spec, state *State, seen *Observation, t tally, now time.Time) bool {
	since := state.lastRaise()
	if since.IsZero() {
		return false
	}
	at, ok := d.Fleet.settled(spec, seen, since, now)
	return !ok || t.oldest.Before(at)
}

// find returns the signal's reading if it can be trusted, else nil and the reason why not.
func (s *SignalDecision) find(seen *Observation) *Reading {
	s.Reason = NoData
	reading := seen.reading(s.Signal)
	if reading == nil {
		s.Missing = seen.ready()
		return nil
	}
	s.Source, s.Detail = reading.Source, reading.Detail
	if reading.Problem != "" {
		s.Reason, s.Missing = reading.Problem, seen.ready()
		return nil
	}
	return reading
}

// reading returns the reading of a signal, nil if there is none.
func (o *Observation) reading(s Signal) *Reading {
	for i := range o.Readings {
		if o.Readings[i].Signal == s {
			return &o.Readings[i]
		}
	}
	return nil
}

// ready counts the ready pods.
func (o *Observation) ready() int {
	n := 0
	for i := range o.Pods {
		if o.Pods[i].Phase == Ready {
			n++
		}
	}
	return n
}

// maxReading is the largest absolute value, in thousandths, that counts as a reading: the sum over 9,000 pods still fits an int64.
const maxReading = 1e15

// milli converts a value to whole thousandths, the HPA's resolution. It refuses what no quantity of work can be:
// negative, NaN, infinite or absurdly large.
func milli(v float64) (m int64, ok bool) {
	m1000 := math.Round(v * 1000)
	if !(m1000 >= 0 && m1000 <= maxReading) {
		return 0, false
	}
	return int64(m1000), true
}

// usable returns the sample in thousandths if it exists, can be, and is young enough; stale says that only its age speaks against it.
func (s *Sample) usable(maxAge time.Duration, now time.Time) (m int64, ok, stale bool) {
	if !s.OK {
		return 0, false, false
	}
	m, ok = milli(s.Value)
	if ok && !s.Time.IsZero() && now.Sub(s.Time) > maxAge {
		return 0, false, true
	}
	return m, ok, false
}

// count tallies the signal over the pods and notes what it found.
func (s *SignalDecision) count(d *Decision, spec *Spec, state *State, seen *Observation, reading *Reading, now time.Time) tally {
	t := d.Fleet.count(spec, state, seen, reading, now)
	s.Sampled, s.Idle, s.Missing, s.most = t.sampled, t.idle, t.missing, t.most
	switch {
	case t.sampled > 0:
		s.Value = float64(t.sum/int64(t.sampled)) / 1000
	case t.stalled > 0 && t.missing == 0:
		s.Reason = Stalled
	case t.stale > 0:
		s.Reason = StaleData
	}
	return t
}

// complete marks a signal that too few of the ready pods have.
func (s *SignalDecision) complete(t tally) {
	if seen := t.sampled + t.idle; 2*seen < seen+t.missing-t.young {
		s.Reason = PartialData
	}
}

// fill is HPA's calcPlainMetricReplicas (replica_calculator.go): the average over the sampled pods against the target, with
// missing pods taken as at target when lowering and as idle when raising, and loading pods as idle when raising. The reason is
// WithinTolerance if the deviation is small enough to be left alone.
func (s *Spec) fill(t tally, target int64, current int) (int, Reason) {
	n := t.sampled
	ratio := float64(t.sum/int64(n)) / float64(target)
	if (t.loading+t.overdue == 0 || ratio <= 1) && t.missing == 0 {
		if s.tolerates(ratio) {
			return current, WithinTolerance
		}
		return ceil(ratio * float64(n)), ""
	}
	// When the ratio is exactly 1 the HPA fills in nothing.
	switch {
	case ratio < 1:
		t.sum += int64(t.missing) * target
		n += t.missing
	case ratio > 1:
		n += t.missing + t.loading
	}
	return s.turn(t, ratio, float64(t.sum/int64(n))/float64(target), n, current)
}

// turn is the outcome after pods were filled in, which may turn a raise or a lower into nothing and never into the other.
func (s *Spec) turn(t tally, ratio, filled float64, n, current int) (int, Reason) {
	replicas := ceil(filled * float64(n))
	if ratio > 1 && filled > 1 && !s.tolerates(filled) {
		replicas += min(t.overdue, s.overdueAnswered())
	}
	awaited := t.loading > 0 && ratio > 1 && !s.tolerates(ratio)
	switch {
	case awaited && (filled <= 1 || s.tolerates(filled) || replicas <= current):
		return current, LoadingPods
	case s.tolerates(filled):
		return current, WithinTolerance
	case turns(ratio, filled), turns(filled, float64(replicas)/float64(current)):
		// A change of direction that comes only from the pods filled in.
		return current, ""
	}
	return replicas, ""
}

// turns reports whether one ratio asks for more and the other for less.
func turns(a, b float64) bool { return a < 1 && b > 1 || a > 1 && b < 1 }

// replace is fill during a rollout: the load of all ready pods is divided by spec.replicas, so that the pods beyond them neither raise nor
// lower. Replicas that are not ready count as at target when lowering and as idle when raising.
func (s *Spec) replace(t tally, target int64, current int) (int, Reason) {
	ratio := float64(t.sum/int64(current)) / float64(target)
	if absent := max(current-t.sampled, 0); ratio < 1 && absent > 0 {
		ratio = min(float64((t.sum+int64(absent)*target)/int64(current))/float64(target), 1)
	}
	if s.tolerates(ratio) {
		return current, WithinTolerance
	}
	return ceil(ratio * float64(current)), ""
}

// workload takes the sample of a signal that is one number for the whole workload.
func (s *SignalDecision) workload(spec *Spec, reading *Reading, now time.Time) (m int64, ok bool) {
	m, ok, stale := reading.Workload.usable(spec.MaxSampleAge, now)
	if !ok {
		s.Missing = 1
		if stale {
			s.Reason = StaleData
		}
		return 0, false
	}
	s.Sampled, s.Reason, s.Value, s.perWorkload, s.most = 1, "", float64(m)/1000, true, m
	return m, true
}

// share is HPA's GetExternalPerPodMetricReplicas: one number for the workload, divided by the replicas.
func (s *Spec) share(m, target int64, current int) (int, Reason) {
	if s.tolerates(float64(m) / (float64(target) * float64(current))) {
		return current, WithinTolerance
	}
	return ceil(float64(m) / float64(target)), ""
}

// targetMilli is the target in whole thousandths, at least one.
func targetMilli(v float64) int64 {
	m, _ := milli(v)
	return max(m, 1)
}

// tolerates reports whether the ratio of reading to target is close enough to 1 to be left alone.
func (s *Spec) tolerates(ratio float64) bool {
	return 1-s.ScaleDown.Tolerance <= ratio && ratio <= 1+s.ScaleUp.Tolerance
}

// ceil rounds up to a number of replicas that fits an int32, as the Kubernetes API needs.
func ceil(v float64) int {
	return int(min(math.Ceil(v), math.MaxInt32))
}
