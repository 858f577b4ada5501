package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Steps is the step scaling of one signal.
type Steps struct {
	Signal Signal `json:"signal"`
	// Bands are ordered: those below a threshold from the lowest, then those above one from the highest, so that the first that
	// matches is the most extreme.
	Bands []Band `json:"bands"`
}

// Band changes the replicas while the signal is beyond a threshold.
type Band struct {
	// Above says on which side of Threshold the band lies. The comparison is strict.
	Above     bool    `json:"above"`
	Threshold float64 `json:"threshold"`
	// Change is in replicas, or in percent of spec.replicas if Percent is set.
	Change  int  `json:"change"`
	Percent bool `json:"percent,omitzero"`
}

// band returns the index of the most extreme band that matches, -1 if none does.
func (s *Steps) band(value float64) int {
	for i, b := range s.Bands {
		if b.Above && value > b.Threshold || !b.Above && value < b.Threshold {
			return i
		}
	}
	return -1
}

// apply returns the replicas that the band asks for. A percentage is rounded away from zero, so that it always changes something.
func (b *Band) apply(current int) int {
	if !b.Percent {
		return max(current+b.Change, 0)
	}
	share := float64(current) * float64(b.Change) / 100
	return max(current+int(math.Copysign(math.Ceil(math.Abs(share)), share)), 0)
}

// String prints the band as in the annotation.
func (b Band) String() string {
	side, unit := "<", ""
	if b.Above {
		side = ">"
	}
	if b.Percent {
		unit = "%"
	}
	return fmt.Sprintf("%s%s:%+d%s", side, strconv.FormatFloat(b.Threshold, 'f', -1, 64), b.Change, unit)
}

// parseSteps reads "<30:-1, >85:+2, >95:+50%".
func parseSteps(s *Spec, signal Signal, value string) error {
	parts := strings.Split(value, ",")
	if len(parts) > maxParts {
		return fmt.Errorf("has %d bands: at most %d are allowed", len(parts), maxParts)
	}
	steps := Steps{Signal: signal}
	for _, part := range parts {
		b, err := parseBand(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		steps.Bands = append(steps.Bands, b)
	}
	slices.SortFunc(steps.Bands, compareBands)
	if err := steps.contradiction(); err != nil {
		return err
	}
	s.Steps = append(s.Steps, steps)
	return nil
}

// compareBands puts the most extreme first on each side.
func compareBands(a, b Band) int {
	switch {
	case a.Above != b.Above:
		if a.Above {
			return 1
		}
		return -1
	case a.Threshold == b.Threshold:
		return 0
	case (a.Threshold < b.Threshold) != a.Above:
		return -1
	}
	return 1
}

// contradiction refuses bands of which two with different changes would match at once without one being more extreme.
func (s *Steps) contradiction() error {
	highestBelow, lowestAbove := math.Inf(-1), math.Inf(1)
	for i, b := range s.Bands {
		if i > 0 && b.Above == s.Bands[i-1].Above && b.Threshold == s.Bands[i-1].Threshold {
			return fmt.Errorf("has two bands at the threshold %s: give each threshold once", number(b.Threshold))
		}
		if b.Above {
			lowestAbove = min(lowestAbove, b.Threshold)
		} else {
			highestBelow = max(highestBelow, b.Threshold)
		}
	}
	if highestBelow > lowestAbove {
		return fmt.Errorf("has bands that overlap between %s and %s: the thresholds of < must not be above those of >", number(lowestAbove), number(highestBelow))
	}
	return nil
}

// parseBand reads ">85:+2".
func parseBand(text string) (Band, error) {
	wrong := fmt.Errorf(`has the band %q: give a threshold and a change, as in ">85:+2", "<30:-1" or ">95:+50%%"`, short(text))
	threshold, change, found := strings.Cut(text, ":")
	threshold, change = strings.TrimSpace(threshold), strings.TrimSpace(change)
	if !found || threshold == "" || change == "" || threshold[0] != '<' && threshold[0] != '>' {
		return Band{}, wrong
	}
	b := Band{Above: threshold[0] == '>'}
	v, err := decimal(strings.TrimSpace(threshold[1:]))
	if err != nil || v > maxValue {
		return Band{}, wrong
	}
	b.Threshold = v
	digits, percent := strings.CutSuffix(change, "%")
	b.Percent = percent
	sign, digits := digits[:min(1, len(digits))], digits[min(1, len(digits)):]
	if whole(&b.Change, strings.TrimSpace(digits), 1) != nil || sign != "+" && sign != "-" {
		return Band{}, wrong
	}
	if sign == "-" {
		b.Change = -b.Change
	}
	return b, nil
}

// askSteps scores one signal against its bands. A band that has fired is not answered again before a sample shows what its
// change has brought.
func (d *Decision) askSteps(spec *Spec, state *State, steps *Steps, seen *Observation, now time.Time) SignalDecision {
	s := SignalDecision{Signal: steps.Signal, Recommended: d.Current, band: -1}
	reading := s.find(seen)
	taken := now.Add(-spec.MaxSampleAge) // at the earliest, if it is not known exactly
	switch {
	case reading == nil:
		return s
	case reading.PerWorkload:
		if _, ok := s.workload(spec, reading, now); !ok {
			return s
		}
		s.Value = millionths(reading.Workload.Value) / 1e6
		taken = later(taken, reading.Workload.Time)
	default:
		t := s.count(d, spec, state, seen, reading, now)
		if s.Sampled+s.Idle == 0 {
			return s
		}
		s.Reason = ""
		s.complete(t)
		if s.Sampled == 0 {
			return s // all idle: in no band
		}
		// Thousandths, as the HPA reckons, are too coarse for latencies in seconds.
		s.Value = t.exact / float64(t.sampled) / 1e6
		for i := range reading.Samples {
			taken = later(taken, reading.Samples[i].Time)
		}
	}
	if i := steps.band(s.Value); i >= 0 && state.mayFire(spec, s.Signal, steps.Bands[i], &d.Fleet, seen, taken, now) {
		s.band, s.steps = i, steps
		s.Recommended = steps.Bands[i].apply(d.Current)
	}
	return s
}

// millionths rounds a value to whole millionths, so that the mean of equal ones is that value and no float beside it.
func millionths(v float64) float64 { return math.Round(v * 1e6) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Firing is a band whose change was written.
type Firing struct {
	Signal    Signal    `json:"signal"`
	Above     bool      `json:"above"`
	Threshold float64   `json:"threshold"`
	Time      time.Time `json:"time"`
}

// mayFire reports whether a band may ask for a change: it has not fired yet, or the sample was taken when all that its last
// change brought was in place.
func (s *State) mayFire(spec *Spec, signal Signal, b Band, f *Fleet, seen *Observation, taken, now time.Time) bool {
	i := slices.IndexFunc(s.Fired, func(f Firing) bool { return f.is(signal, b) })
	if i < 0 {
		return true
	}
	if len(seen.Pods) > seen.Replicas && !seen.Rollout {
		return false // what was lowered is still going
	}
	at, ok := f.settled(spec, seen, s.Fired[i].Time, now)
	return ok && !taken.Before(at)
}

func (f *Firing) is(signal Signal, b Band) bool {
	return f.Signal == signal && f.Above == b.Above && f.Threshold == b.Threshold
}

// fire remembers the bands that asked for the change that was written.
func (s *State) fire(d *Decision, now time.Time) {
	for i := range d.Signals {
		sd := &d.Signals[i]
		if sd.steps == nil || (sd.Recommended > d.Current) != (d.Desired > d.Current) {
			continue
		}
		b := sd.steps.Bands[sd.band]
		fired := slices.Clone(s.Fired)
		fired = slices.DeleteFunc(fired, func(f Firing) bool { return f.is(sd.Signal, b) })
		s.Fired = append(fired, Firing{Signal: sd.Signal, Above: b.Above, Threshold: b.Threshold, Time: now})
	}
}
