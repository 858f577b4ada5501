package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// replay is one scenario under way with both autoscalers.
type replay struct {
	s        *scenario
	world    *world
	hpa      *hpa.Autoscaler
	object   *autoscaling.HorizontalPodAutoscaler
	state    policy.State
	excuses  excuses
	replicas int
	stored   bool // the State is written down and read back after each tick
	tally    *tally
	told     string   // the scenario as it began
	trace    []moment // the last ticks
	kept     int      // how many of them
}

// tally counts what a run of scenarios has seen.
type tally struct {
	seeds, ticks int
	ended        map[exception]int
	reasons      map[policy.Reason]int
}

// newTally returns a tally of nothing.
func newTally() *tally {
	return &tally{ended: map[exception]int{}, reasons: map[policy.Reason]int{}}
}

// newReplay prepares the scenario of a seed. Of the ticks it keeps the last ones to tell, so many.
func newReplay(seed uint64, a *hpa.Autoscaler, count *tally, kept int) *replay {
	s := newScenario(seed)
	r := &replay{
		s: s, world: &world{s: s}, hpa: a, object: a.Object(), replicas: s.start, stored: s.chance(0.1), tally: count, kept: kept,
	}
	r.told = s.String()
	s.translate(r.object)
	return r
}

// play runs the scenario inside a synctest bubble. It returns the first difference, nil if there is none outside of the
// exceptions.
func (r *replay) play() error {
	r.tally.seeds++
	for tick := range r.s.ticks {
		r.meddle(tick)
		ended, err := r.tick(tick)
		if err != nil {
			return fmt.Errorf("tick %d of seed %d %w", tick, r.s.seed, err)
		}
		if ended != "" {
			r.tally.ended[ended]++
			return nil
		}
		time.Sleep(r.pause())
	}
	return nil
}

// pause draws the time until the next tick.
func (r *replay) pause() time.Duration {
	if !r.s.jitter {
		return r.s.spec.Interval
	}
	return r.s.spec.Interval*3/4 + time.Duration(r.s.rng.IntN(int(r.s.spec.Interval/2/time.Millisecond)))*time.Millisecond
}

// maxPause is the longest pause.
func (r *replay) maxPause() time.Duration { return r.s.spec.Interval * 5 / 4 }

// meddle is what other hands do before a tick.
func (r *replay) meddle(tick int) {
	if tick == 0 {
		return
	}
	switch {
	case r.replicas == 0:
		if r.s.chance(0.3) {
			r.replicas = r.s.replicas()
		}
	case r.s.chance(r.s.hazards.scaled):
		r.replicas = r.s.rng.IntN(r.s.spec.MaxReplicas + 6)
	}
	if r.s.chance(r.s.hazards.edited) {
		r.s.edit()
		r.s.translate(r.object)
	}
}

// tick lets both decide, compares, and writes.
func (r *replay) tick(tick int) (exception, error) {
	now := time.Now()
	r.world.settle(r.replicas, now, tick == 0)
	mayFail := r.s.hazards.long || r.excuses.mayFail(&r.s.spec, now, r.maxPause())
	seen := r.world.observe(r.replicas, now, mayFail)
	key := fmt.Sprintf("default/seed-%d", r.s.seed)

	up, down := r.hpa.ScaleEvents(key)
	theirs := r.hpa.Tick(key, r.object, &seen.theirs)
	if r.s.mixedPeriods() {
		upAfter, downAfter := r.hpa.ScaleEvents(key)
		r.excuses.forgot(&r.s.spec, now, up, upAfter)
		r.excuses.forgot(&r.s.spec, now, down, downAfter)
	}
	r.excuses.see(&r.s.spec, &seen, now)
	ours, next := policy.Decide(r.s.spec, r.state, seen.ours, now)

	r.note(moment{tick: tick, seen: seen, ours: ours, theirs: theirs})
	if ended, err := r.compare(&seen, &ours, &theirs); ended != "" || err != nil {
		return ended, err
	}
	if ours.Desired != r.replicas && !seen.theirs.RefuseWrite {
		next = next.Wrote(ours, now)
		r.replicas = ours.Desired
	}
	return "", r.keep(next)
}

// compare looks for a difference. One that has an excuse ends the comparison, as what is remembered differs from then on.
func (r *replay) compare(seen *sight, ours *policy.Decision, theirs *hpa.Outcome) (exception, error) {
	r.tally.ticks++
	r.tally.reasons[ours.Reason]++
	excuse := r.excuses.apply(ours.Time)
	if int(theirs.Desired) == ours.Desired {
		if excuse != "" {
			return "", nil
		}
		return "", compareReasons(&r.s.spec, ours, theirs)
	}
	difference := fmt.Errorf("differs: ours wants %d replicas, the HPA %d", ours.Desired, theirs.Desired)
	switch {
	case excuse == "":
		return "", difference
	case (seen.starved || excuse == gap) && ours.Desired < int(theirs.Desired):
		return "", fmt.Errorf("%w, and the exception %q only forbids lowering", difference, excuse)
	}
	return excuse, nil
}

// keep remembers the State, some through JSON.
func (r *replay) keep(next policy.State) error {
	if !r.stored {
		r.state = next
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("writing the state down: %w", err)
	}
	r.state = policy.State{}
	if err := json.Unmarshal(text, &r.state); err != nil {
		return fmt.Errorf("reading the state %s: %w", text, err)
	}
	return nil
}

// moment is a tick that can still be told.
type moment struct {
	tick   int
	seen   sight
	ours   policy.Decision
	theirs hpa.Outcome
}

// note keeps the last ticks.
func (r *replay) note(m moment) {
	if len(r.trace) == r.kept {
		copy(r.trace, r.trace[1:])
		r.trace = r.trace[:r.kept-1]
	}
	r.trace = append(r.trace, m)
}

// tell tells the scenario and the last ticks, one a line.
func (r *replay) tell() string {
	var b strings.Builder
	b.WriteString(r.told)
	for i := range r.trace {
		b.WriteString(r.trace[i].String())
		b.WriteByte('\n')
	}
	return b.String()
}
