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
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Current   int    `json:"current"`
	// The message is that of the Workload, which also tells why there is no decision.
	policy.Summary
	Time       time.Time  `json:"time,omitzero"`
	DryRun     bool       `json:"dryRun,omitempty"`
	Problems   []string   `json:"problems,omitempty"`
	WriteError string     `json:"writeError,omitempty"`
	Pods       PodsReport `json:"pods"`
}

// PodsReport counts the living pods of a workload.
type PodsReport struct {
	Ready         int `json:"ready"`
	Loading       int `json:"loading"`
	Unschedulable int `json:"unschedulable"`
	// Free is how many further pods the nodes could place, absent if that is not known.
	Free *int `json:"free,omitempty"`
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
	d := w.Decision
	r := WorkloadReport{
		Namespace:  w.Namespace,
		Name:       w.Name,
		Current:    d.Current,
		Summary:    d.Summary(),
		Time:       d.Time.UTC(),
		DryRun:     w.DryRun,
		WriteError: w.WriteProblem,
		Pods:       PodsReport{Ready: w.Ready, Loading: w.Loading, Unschedulable: w.Unschedulable},
	}
	if w.FreeKnown {
		r.Pods.Free = &w.Free
	}
	r.Message, r.Until = w.Message(), d.Until.UTC()
	for _, p := range w.Problems {
		r.Problems = append(r.Problems, p.Error())
	}
	return r
}
