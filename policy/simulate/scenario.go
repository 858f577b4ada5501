package simulate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/serving"
)

// Bounds of a scenario. They keep a run within seconds and a few hundred megabytes.
const (
	// MaxTicks is the most ticks of a scenario: a month at 15 s is 172,801.
	MaxTicks = 200_000
	// MaxReplicas is the most replicas that are simulated.
	MaxReplicas = 10_000
	// MaxDuration is the longest duration of a scenario, and of anything in it.
	MaxDuration = 10 * 365 * 24 * time.Hour
	// maxRequests is the most requests that a load may send, maxRate the most in a second.
	maxRequests = 10_000_000
	maxRate     = 10_000
	// maxPodTicks is the most readings of pods, ticks times pods.
	maxPodTicks = 1_000_000_000
)

// Scenario is everything that a run depends on.
type Scenario struct {
	// Spec is what the Deployment's annotations ask for.
	Spec policy.Spec
	// Decide stands in for policy.Decide where another scaler is to be compared, nil for ours. It is called once a tick.
	Decide func(policy.Spec, policy.State, policy.Observation, time.Time) (policy.Decision, policy.State)
	// Disabled says that the annotations do not opt in: decisions are shown, and nothing is written.
	Disabled bool
	// Start is the time of the first tick, Interval the time between two, and the last tick is at most Duration after
	// the first.
	Start              time.Time
	Interval, Duration time.Duration
	// Replicas is spec.replicas at the start, all of them placed and ready since long.
	Replicas int
	// Startup is the time from a pod's placement to Ready. The annotation of that name is what the policy believes.
	Startup time.Duration
	// GPUs is how many pods the cluster can place, nil for no limit.
	GPUs *int
	// Signals are read from the pods, Workload from outside them. They replace what Load models.
	Signals  []PodSignal
	Workload []WorkloadSignal
	// Load, if not nil, closes the loop: requests arrive, a model of a replica serves them, and the signals follow.
	Load *Load
	// SLO is what the requests of Load are promised.
	SLO serving.SLO
	// Events are what happens to the Deployment and around it; of those at the same time the first listed goes first.
	Events []Event
	// Expect is what the score must be.
	Expect []Expectation
}

// PodSignal is a signal with a sample on each ready pod.
type PodSignal struct {
	Signal policy.Signal
	// Series holds one series that all pods read, or several of which the k-th is read by the k-th oldest living pod, and
	// the last by all further ones.
	Series []Series
	// Read stands in for Series where what a pod reads depends on how many share the work: it is what each of so many ready
	// pods reads so long after the start. The time of the sample is filled in.
	Read func(at time.Duration, ready int) policy.Sample
}

// WorkloadSignal is a signal that is one number for the whole workload.
type WorkloadSignal struct {
	Signal policy.Signal
	Series Series
	// Read stands in for Series: what is read so long after the start.
	Read func(at time.Duration) policy.Sample
}

// Load is the requests that arrive and the server that each replica runs.
type Load struct {
	// Serving is the model; with its Trace requests arrive as recorded.
	Serving serving.Config
	// RequestsPerSecond is the rate of arrivals from each tick to the next. It is not used with a trace.
	RequestsPerSecond Series
}

// writes reports whether decisions are carried out.
func (s *Scenario) writes() bool { return !s.Spec.DryRun && !s.Disabled }

// problem is something wrong with one key of a scenario.
type problem struct {
	key, text string
}

// Error returns the key and the text.
func (p problem) Error() string { return p.key + ": " + p.text }

// Validate returns every problem at once, joined, each with the key of the scenario file that it is about before a
// colon; nil if there is none.
func (s *Scenario) Validate() error {
	if problems := slices.Concat(s.timeProblems(), s.countProblems()); len(problems) > 0 {
		return errors.Join(problems...) // to look further could take for ever
	}
	problems := slices.Concat(s.signalProblems(), s.loadProblems(), s.eventProblems())
	for _, e := range s.Expect {
		if s.Load == nil && e.requests() {
			problems = append(problems, problem{"expect." + e.Name(), "there are no requests without load: allowed are min- and max- with " + scoreNames(false)})
		}
	}
	return errors.Join(problems...)
}

// timeProblems finds times that cannot be, and too many ticks.
func (s *Scenario) timeProblems() []error {
	var problems []error
	refuse := func(key, format string, args ...any) {
		problems = append(problems, problem{key, fmt.Sprintf(format, args...)})
	}
	switch {
	case s.Interval <= 0:
		refuse("interval", "%v is not allowed: give a duration above 0s", s.Interval)
	case s.Duration < 0 || s.Duration > MaxDuration:
		refuse("duration", "%v is not allowed: give a duration from 0s to %v", s.Duration, MaxDuration)
	case s.Duration/s.Interval >= MaxTicks:
		refuse("duration", "%v in ticks of %v are %d ticks: at most %d are allowed", s.Duration, s.Interval, s.Duration/s.Interval+1, MaxTicks)
	}
	if s.Start.Year() < 1970 || s.Start.Year() > 2200 {
		refuse("start", "%v is not allowed: give a time from the year 1970 to 2200", s.Start)
	}
	if s.Startup < 0 || s.Startup > MaxDuration {
		refuse("startup", "%v is not allowed: give a duration from 0s to %v", s.Startup, MaxDuration)
	}
	return problems
}

// countProblems finds numbers of replicas and GPUs that cannot be.
func (s *Scenario) countProblems() []error {
	var problems []error
	if s.Replicas < 0 || s.Replicas > MaxReplicas {
		problems = append(problems, problem{"replicas", fmt.Sprintf("%d is not allowed: give a whole number from 0 to %d", s.Replicas, MaxReplicas)})
	}
	if s.GPUs != nil && *s.GPUs < 0 {
		problems = append(problems, problem{"gpus", fmt.Sprintf("%d is not allowed: give a whole number from 0", *s.GPUs)})
	}
	return problems
}

// signalProblems finds signals that are given twice or without a series.
func (s *Scenario) signalProblems() []error {
	var problems []error
	for i, w := range s.Workload {
		key := "workload." + string(w.Signal)
		if _, builtin := w.Signal.Info(); builtin {
			problems = append(problems, problem{key, "is read from each pod: give it under signals, or a workload signal of another name"})
		}
		if slices.ContainsFunc(s.Signals, func(p PodSignal) bool { return p.Signal == w.Signal }) ||
			slices.ContainsFunc(s.Workload[:i], func(o WorkloadSignal) bool { return o.Signal == w.Signal }) {
			problems = append(problems, problem{key, "is given twice: give each signal once, under signals or workload"})
		}
	}
	for _, p := range s.Signals {
		if len(p.Series) == 0 && p.Read == nil {
			problems = append(problems, problem{"signals." + string(p.Signal), "has no series: give at least one"})
		}
	}
	return problems
}

// Notes tells what may not be meant: annotations that do not opt in, and signals that they ask for and nothing gives. Those are missing at every tick, as they are in a
// cluster where nobody exports them: a scenario may mean that.
func (s *Scenario) Notes() []string {
	var notes []string
	if s.Disabled {
		notes = append(notes, policy.Prefix+`enabled is "false": the Deployment is left alone, and what is decided here is not written`)
	}
	for _, signal := range s.Spec.Signals() {
		if !s.has(signal) {
			notes = append(notes, fmt.Sprintf("%s: nothing gives the signal %s, so that it is missing at every tick: give it a series under %s", s.asks(signal), signal, s.place(signal)))
		}
	}
	return notes
}

// has reports whether a signal that the annotations ask for has a source.
func (s *Scenario) has(signal policy.Signal) bool {
	if slices.ContainsFunc(s.Workload, func(w WorkloadSignal) bool { return w.Signal == signal }) {
		return true
	}
	if signal == s.Spec.ActivateOn {
		return false // what comes from the pods cannot wake a Deployment that has none
	}
	return slices.ContainsFunc(s.Signals, func(p PodSignal) bool { return p.Signal == signal }) ||
		s.Load != nil && modelled(signal)
}

// asks is the annotation that asks for a signal.
func (s *Scenario) asks(signal policy.Signal) string {
	switch {
	case signal == s.Spec.ActivateOn:
		return policy.Prefix + "activate-on"
	case slices.ContainsFunc(s.Spec.Steps, func(st policy.Steps) bool { return st.Signal == signal }):
		return policy.Prefix + "steps." + string(signal)
	}
	return policy.Prefix + "target." + string(signal)
}

// place tells where the series of a signal may be given.
func (s *Scenario) place(signal policy.Signal) string {
	switch {
	case signal == s.Spec.ActivateOn:
		return "workload, since activate-on names it"
	case s.Load == nil && modelled(signal):
		return "signals, or a load"
	case s.Load != nil:
		return "signals, because the model of load does not have it"
	}
	return "signals"
}

// loadProblems finds what the model refuses, and rates that cannot be.
func (s *Scenario) loadProblems() []error {
	if s.Load == nil {
		return nil
	}
	var problems []error
	if err := s.Load.Serving.Validate(); err != nil {
		problems = append(problems, err)
	}
	if s.Load.Serving.Trace != nil {
		return problems
	}
	rate, sum := s.Load.RequestsPerSecond.cursor(), 0.0
	for at := time.Duration(0); at <= s.Duration; at += s.Interval {
		v, ok := rate.next()
		if !ok || !(v >= 0 && v <= maxRate) {
			text := "no value"
			if ok {
				text = fmt.Sprint(v)
			}
			return append(problems, problem{"load.requests-per-second", fmt.Sprintf("has %s at %v: give a rate from 0 to %d for each tick", text, at, maxRate)})
		}
		sum += v * min(s.Interval, s.Duration-at).Seconds()
	}
	if sum > maxRequests {
		problems = append(problems, problem{"load.requests-per-second", fmt.Sprintf("sends about %.0f requests: at most %d are allowed", sum, maxRequests)})
	}
	return problems
}
