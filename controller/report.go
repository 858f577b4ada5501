package controller

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Report is a Snapshot in the form that is printed as JSON and YAML and served by the API.
type Report struct {
	Workloads []WorkloadReport `json:"workloads"`
}

// WorkloadReport is one workload of a Report.
type WorkloadReport struct {
	Namespace   string                         `json:"namespace"`
	Name        string                         `json:"name"`
	Current     int                            `json:"current"`
	Desired     int                            `json:"desired"`
	Recommended int                            `json:"recommended"`
	Guarded     int                            `json:"guarded"`
	Stabilized  int                            `json:"stabilized"`
	Limited     int                            `json:"limited"`
	Reason      policy.Reason                  `json:"reason"`
	Message     string                         `json:"message"`
	Signals     map[policy.Signal]SignalReport `json:"signals"`
	Time        time.Time                      `json:"time,omitzero"`
	Until       time.Time                      `json:"until,omitzero"`
	DryRun      bool                           `json:"dryRun,omitempty"`
	Problems    []string                       `json:"problems,omitempty"`
	WriteError  string                         `json:"writeError,omitempty"`
	Pods        PodsReport                     `json:"pods"`
}

// SignalReport is one signal of a WorkloadReport.
type SignalReport struct {
	// Value is the average over the ready pods that were sampled; absent if none was.
	Value *float64 `json:"value,omitempty"`
	// Target is absent where the signal has none.
	Target      float64       `json:"target,omitempty"`
	Recommended int           `json:"recommended"`
	Missing     int           `json:"missing"`
	Reason      policy.Reason `json:"reason,omitempty"`
	Source      string        `json:"source,omitempty"`
	Detail      string        `json:"detail,omitempty"`
}

// PodsReport counts the living pods of a workload.
type PodsReport struct {
	Ready         int `json:"ready"`
	Loading       int `json:"loading"`
	Unschedulable int `json:"unschedulable"`
}

// ReportOf renders a Snapshot.
func ReportOf(s *Snapshot) Report {
	r := Report{Workloads: make([]WorkloadReport, len(s.Workloads))}
	for i := range s.Workloads {
		r.Workloads[i] = ReportWorkload(&s.Workloads[i])
	}
	return r
}

// ReportWorkload renders one workload.
func ReportWorkload(w *Workload) WorkloadReport {
	d := &w.Decision
	r := WorkloadReport{
		Namespace:   w.Namespace,
		Name:        w.Name,
		Current:     d.Current,
		Desired:     d.Desired,
		Recommended: d.Recommended.Replicas,
		Guarded:     d.Guarded.Replicas,
		Stabilized:  d.Stabilized.Replicas,
		Limited:     d.Limited.Replicas,
		Reason:      d.Reason,
		Message:     w.Message(),
		Signals:     make(map[policy.Signal]SignalReport, len(d.Signals)),
		Time:        d.Time.UTC(),
		Until:       d.Until.UTC(),
		DryRun:      w.DryRun,
		WriteError:  w.WriteProblem,
		Pods:        PodsReport{Ready: w.Ready, Loading: w.Loading, Unschedulable: w.Unschedulable},
	}
	for i := range d.Signals {
		r.Signals[d.Signals[i].Signal] = reportSignal(&d.Signals[i])
	}
	for _, p := range w.Problems {
		r.Problems = append(r.Problems, p.Error())
	}
	return r
}

// reportSignal renders one signal.
func reportSignal(s *policy.SignalDecision) SignalReport {
	r := SignalReport{Target: s.Target, Recommended: s.Recommended, Missing: s.Missing, Reason: s.Reason, Source: s.Source, Detail: s.Detail}
	if s.Sampled > 0 {
		value := s.Value
		r.Value = &value
	}
	return r
}
