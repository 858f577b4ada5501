package backtest

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// Version is the format of a Recording in a file.
const Version = "gpuscaler.io/recording/v1"

// Recording is what was recorded of one Deployment at Start, Start+Step and so on.
type Recording struct {
	// Format is Version.
	Format    string `json:"format"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Annotations are ours of the Deployment, as they were when it was recorded.
	Annotations map[string]string `json:"annotations"`
	// Start is the time of the first reading of each row, StepSeconds the time between two, and Steps their number.
	Start       time.Time `json:"start"`
	StepSeconds float64   `json:"stepSeconds"`
	Steps       int       `json:"steps"`
	// GPUs is how many each replica holds, at least 1.
	GPUs int `json:"gpus"`
	// Replicas is spec.replicas at each time.
	Replicas []int `json:"replicas"`
	// Pods are those that were seen, by the time from which they were Ready.
	Pods []Pod `json:"pods"`
	// Signals are what was read.
	Signals []Signal `json:"signals"`
	// Sources tell in sentences where replicas, pods and their readiness are from.
	Sources []string `json:"sources,omitempty"`
}

// Pod is one pod's time of being Ready: from one step until before another.
type Pod struct {
	Name  string `json:"name"`
	From  int    `json:"from"`
	Until int    `json:"until"`
}

// Signal is what was read of one signal: a row for each pod that had a reading, or one row of the whole workload.
type Signal struct {
	Signal   policy.Signal  `json:"signal"`
	Pods     map[string]Row `json:"pods,omitempty"`
	Workload *Row           `json:"workload,omitempty"`
}

// Row is readings one a step, the first of them at the step From.
type Row struct {
	From   int     `json:"from"`
	Values []Value `json:"values"`
}

// at returns the reading of a step.
func (r *Row) at(step int) policy.Sample {
	if i := step - r.From; i >= 0 && i < len(r.Values) {
		return r.Values[i].sample()
	}
	return policy.Sample{}
}

// Step is the time between two readings.
func (r *Recording) Step() time.Duration {
	return time.Duration(math.Round(r.StepSeconds * float64(time.Second)))
}

// Time is that of a step.
func (r *Recording) Time(step int) time.Time {
	return r.Start.Add(time.Duration(step) * r.Step()).UTC()
}

// Validate returns every problem that keeps the Recording from being replayed, joined; nil if there is none.
func (r *Recording) Validate() error {
	var problems []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	refuse(r.Format != Version, "format: %q is not allowed: give %q", r.Format, Version)
	refuse(r.Name == "", "name: is missing: give that of the Deployment")
	refuse(r.Start.Year() < 1970 || r.Start.Year() > 2200, "start: %v is not allowed: give a time from the year 1970 to 2200", r.Start)
	refuse(!(r.StepSeconds >= 0.1 && r.StepSeconds <= 86400), "stepSeconds: %v is not allowed: give a number from 0.1 to 86400", r.StepSeconds)
	refuse(r.Steps < 1 || r.Steps > simulate.MaxTicks, "steps: %d is not allowed: give a whole number from 1 to %d", r.Steps, simulate.MaxTicks)
	refuse(r.GPUs < 1 || r.GPUs > 1024, "gpus: %d is not allowed: give how many a replica holds, from 1 to 1024", r.GPUs)
	refuse(len(r.Replicas) != r.Steps, "replicas: %d numbers are not allowed: give one for each of the %d steps", len(r.Replicas), r.Steps)
	for i, n := range r.Replicas {
		if n < 0 || n > simulate.MaxReplicas {
			refuse(true, "replicas[%d]: %d is not allowed: give a whole number from 0 to %d", i, n, simulate.MaxReplicas)
			break
		}
	}
	return errors.Join(append(problems, r.rowProblems()...)...)
}

// rowProblems finds pods and rows that lie outside the steps.
func (r *Recording) rowProblems() []error {
	var problems []error
	for i, p := range r.Pods {
		if p.Name == "" || p.From < 0 || p.Until <= p.From || p.Until > r.Steps {
			problems = append(problems, fmt.Errorf("pods[%d]: %q Ready from step %d until %d is not allowed: give a name and steps from 0 to %d", i, p.Name, p.From, p.Until, r.Steps))
		}
	}
	for i := range r.Signals {
		s := &r.Signals[i]
		check := func(of string, row *Row) {
			if row.From < 0 || len(row.Values) > r.Steps || row.From > r.Steps-len(row.Values) {
				problems = append(problems, fmt.Errorf("signals[%d]: %s of %s has %d values from step %d: the steps are 0 to %d", i, of, s.Signal, len(row.Values), row.From, r.Steps-1))
			}
		}
		if !s.Signal.IsName() {
			problems = append(problems, fmt.Errorf("signals[%d]: %q is no name of a signal", i, s.Signal))
		}
		if s.Workload != nil {
			check("the workload's row", s.Workload)
		}
		for name, row := range s.Pods {
			check("the row of pod "+name, &row)
		}
	}
	return problems
}
