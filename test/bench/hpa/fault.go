package main

import "slices"

// The ways in which the source of metrics fails: the adapter in the HPA's arms, Prometheus in ours.
const (
	// refuses closes the port; hangs takes requests and does not answer them.
	refuses = "refuses"
	hangs   = "hangs"
	// empty answers without any pod, as prometheus-adapter does when a query finds nothing.
	empty = "empty"
	// half leaves out every other pod of each Deployment.
	half = "half"
	// frozen goes on with the values of before. It is the exporters that do so: no source fails.
	frozen = "frozen"
)

// faults are all of them, in the order in which they are tried.
var faults = []string{refuses, hangs, empty, half, frozen}

// fault is a command to a source of metrics; the zero value heals it.
type fault struct {
	Kind string `json:",omitempty"`
	// Lost are the pods that half leaves out.
	Lost []string `json:",omitempty"`
}

// shows tells whether an answer has a pod in it.
func (f *fault) shows(pod string) bool {
	return f.Kind != empty && (f.Kind != half || !slices.Contains(f.Lost, pod))
}
