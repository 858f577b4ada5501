package simulate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Result is what a run shows.
type Result struct {
	Ticks []Tick `json:"ticks"`
	Score Score  `json:"score"`
}

// Tick is one tick: what was seen, and what was decided.
type Tick struct {
	// Time is in UTC.
	Time time.Time `json:"time"`
	// Replicas is spec.replicas before the decision; Ready, Loading and Unschedulable are its pods.
	Replicas      int `json:"replicas"`
	Ready         int `json:"ready"`
	Loading       int `json:"loading"`
	Unschedulable int `json:"unschedulable"`
	policy.Summary
	// Events tell in words what happened before the tick.
	Events []string `json:"-"`
}

// Run runs a scenario from its start to its end. The same Scenario gives the same Result. It fails if the Scenario is not
// valid, or if the decisions ask for more replicas than can be simulated.
func Run(s Scenario) (Result, error) {
	if err := s.Validate(); err != nil {
		return Result{}, err
	}
	loop, err := newClosedLoop(&s)
	if err != nil {
		return Result{}, err
	}
	// Those between two ticks happen before the second, but in their own order.
	s.Events = slices.Clone(s.Events)
	slices.SortStableFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	r := run{
		scenario: &s,
		fleet:    newFleet(&s),
		loop:     loop,
		reader:   newReader(&s, loop),
		replicas: s.Replicas,
		hand:     policy.Hand{By: policy.CreatorsHand},
		ticks:    make([]Tick, 0, s.Duration/s.Interval+1),
	}
	for at := time.Duration(0); at <= s.Duration; at += s.Interval {
		if err := r.tick(at); err != nil {
			return Result{}, fmt.Errorf("at %v: %w", at, err)
		}
	}
	if loop != nil {
		loop.model.Advance(s.Duration)
	}
	return Result{Ticks: r.ticks, Score: r.scorer.total(loop, s.SLO)}, nil
}

// run is a scenario under way.
type run struct {
	scenario *Scenario
	fleet    *fleet
	loop     *closedLoop
	reader   *reader
	scorer   Scorer
	// replicas is spec.replicas, hand who has set it last.
	replicas int
	hand     policy.Hand
	state    policy.State
	// seen is kept to be written over.
	seen policy.Observation
	// happened is how many of the events have happened.
	happened int
	ticks    []Tick
	podTicks int
}

// tick is one pass: events, placement, readiness, observation, decision, write.
func (r *run) tick(at time.Duration) error {
	now := r.time(at)
	if r.loop != nil {
		r.loop.model.Advance(at)
	}
	events, err := r.events(at)
	if err != nil {
		return err
	}
	r.fleet.place(at)
	r.fleet.settle(at)
	if err := r.observe(at, now); err != nil {
		return err
	}
	decide := r.scenario.Decide
	if decide == nil {
		decide = policy.Decide
	}
	decision, state := decide(r.scenario.Spec, r.state, r.seen, now)
	r.state = state

	t := Tick{Time: now, Replicas: r.replicas, Summary: decision.Summary(), Events: events}
	r.fleet.count(&t)
	r.ticks = append(r.ticks, t)
	if err := r.write(&decision, at, now); err != nil {
		return err
	}
	r.scorer.Tick(&decision, r.fleet.placed(), min(r.scenario.Interval, r.scenario.Duration-at))
	if r.loop == nil {
		return nil
	}
	if err := r.loop.serve(r.fleet); err != nil {
		return err
	}
	return r.loop.arrive()
}

// time is when so much of the scenario is over.
func (r *run) time(at time.Duration) time.Time { return r.scenario.Start.Add(at).UTC() }

// write carries out a decision, unless it is a dry run or the Deployment has not opted in.
func (r *run) write(d *policy.Decision, at time.Duration, now time.Time) error {
	if d.Desired == d.Current || !r.scenario.writes() {
		return nil
	}
	if d.Desired > MaxReplicas {
		return fmt.Errorf("%d replicas are wanted (%s): at most %d can be simulated: lower max-replicas", d.Desired, d.Message(), MaxReplicas)
	}
	r.state = r.state.Wrote(*d, now)
	r.scorer.Wrote(d)
	r.scale(d.Desired, at, policy.Hand{By: policy.OurHand, Manager: "gpuscaler", Time: now})
	r.fleet.place(at)
	return nil
}

// scale changes spec.replicas. Whoever sets them to what they are leaves no trace.
func (r *run) scale(n int, at time.Duration, hand policy.Hand) {
	if n == r.replicas {
		return
	}
	hand.Time = hand.Time.Truncate(time.Second)
	r.replicas, r.hand = n, hand
	r.fleet.scale(n, at)
}

// lasting returns the first event of a kind that is going on, nil if there is none.
func (r *run) lasting(kind Kind, at time.Duration) *Event {
	for i := range r.scenario.Events {
		if e := &r.scenario.Events[i]; e.Kind == kind && e.lasts(at) {
			return e
		}
	}
	return nil
}

// events lets happen what is due, and tells it. What lasts is looked up again at each tick.
func (r *run) events(at time.Duration) ([]string, error) {
	var told []string
	r.fleet.gpus, r.fleet.sound = r.gpus(at), r.sound(at)
	for ; r.happened < len(r.scenario.Events) && r.scenario.Events[r.happened].At <= at; r.happened++ {
		e := &r.scenario.Events[r.happened]
		told = append(told, e.String())
		if err := r.happen(e, at); err != nil {
			return nil, err
		}
	}
	return told, nil
}

// happen lets an event happen that does not last.
func (r *run) happen(e *Event, at time.Duration) error {
	switch e.Kind {
	case SetReplicas:
		r.scale(e.Number, at, policy.Hand{By: policy.PersonsHand, Manager: "kubectl", Time: r.time(e.At)})
	case ResetReplicas:
		r.scale(e.Number, at, policy.Hand{By: policy.ResettingHand, Manager: cmp.Or(e.Manager, "helm"), Time: r.time(e.At)})
	case Rollout:
		r.fleet.rollout(at)
	case Restart:
		restarted, err := restart(r.state)
		if err != nil {
			return err
		}
		r.state = restarted
	}
	return nil
}

// restart is what a checkpoint does to a State: it is written down and read back.
func restart(s policy.State) (policy.State, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return policy.State{}, fmt.Errorf("writing the checkpoint: %w", err)
	}
	var read policy.State
	if err := json.Unmarshal(text, &read); err != nil {
		return policy.State{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	return read, nil
}

// gpus is how many pods the cluster can place: what the last event says that is going on, or else the scenario.
func (r *run) gpus(at time.Duration) int {
	n := unlimited
	if r.scenario.GPUs != nil {
		n = *r.scenario.GPUs
	}
	for i := range r.scenario.Events {
		if e := &r.scenario.Events[i]; e.Kind == SetGPUs && e.lasts(at) {
			n = e.Number
		}
	}
	return n
}

// sound is when pods created now will start up: when no crash loop is going on any more.
func (r *run) sound(at time.Duration) time.Duration {
	var end time.Duration
	for i := range r.scenario.Events {
		if e := &r.scenario.Events[i]; e.Kind == CrashLooping && e.lasts(at) {
			end = max(end, e.end())
		}
	}
	return end
}
