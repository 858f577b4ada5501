package scenario

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// maxEvents is the most events of a scenario.
const maxEvents = 10_000

func (r *reader) readEvents(path string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxEvents {
		r.wrong(path, n, fmt.Sprintf("a list of at most %d events such as {at: 10m, replicas: 4}", maxEvents))
		return
	}
	for i, item := range n.Content {
		r.readEvent(fmt.Sprintf("%s[%d]", path, i+1), resolve(item))
	}
}

// readEvent reads when, what and for how long. The number of problems tells whether it may be used.
func (r *reader) readEvent(path string, n *yaml.Node) {
	r.lines[path] = n.Line
	if n.Kind != yaml.MappingNode {
		r.wrong(path, n, "an event such as {at: 10m, replicas: 4}")
		return
	}
	var e simulate.Event
	var kinds []string
	known := []field{
		{"at", r.duration(&e.At, 0, simulate.MaxDuration)},
		{"for", r.duration(&e.For, time.Nanosecond, simulate.MaxDuration)},
		{"manager", r.name(&e.Manager, "the name of a field manager, such as argocd-controller")},
	}
	for _, kind := range simulate.EventKinds() {
		known = append(known, field{string(kind), func(path string, n *yaml.Node) {
			e.Kind = kind
			kinds = append(kinds, string(kind))
			r.readKind(&e, path, n)
		}})
	}
	r.fields(path, n, known...)
	if !r.has(path + ".at") {
		r.refuse(n, "%s needs at: give the time since the start, such as at: 10m", path)
	}
	if len(kinds) > 1 {
		r.refuse(n, "%s has %s: give one of them, and another event for the other", path, strings.Join(kinds, " and "))
	}
	if len(kinds) == 0 {
		r.refuse(n, "%s says nothing that happens: give one of %s", path, kindNames())
	}
	r.scenario.Events = append(r.scenario.Events, e)
}

func kindNames() string {
	var names []string
	for _, k := range simulate.EventKinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// readKind reads the value of an event.
func (r *reader) readKind(e *simulate.Event, path string, n *yaml.Node) {
	switch e.Kind {
	case simulate.SetReplicas, simulate.ResetReplicas:
		r.whole(&e.Number, 0, simulate.MaxReplicas)(path, n)
	case simulate.SetGPUs:
		r.whole(&e.Number, 0, maxGPUs)(path, n)
	case simulate.Outage:
		if text, ok := r.scalar(path, n, "prometheus"); ok && text != "prometheus" {
			r.wrong(path, n, "prometheus")
		}
	case simulate.Conflicting:
		if n.Value == "true" {
			return
		}
		r.name(&e.Name, "true, or the name of the other autoscaler")(path, n)
	default:
		if text, ok := r.scalar(path, n, "true"); ok && text != "true" {
			r.wrong(path, n, "true")
		}
	}
}

// name reads a name, which false is not.
func (r *reader) name(to *string, allowed string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := r.scalar(path, n, allowed)
		switch {
		case !ok:
		case text == "" || text == "false":
			r.wrong(path, n, allowed)
		default:
			*to = quote(text)
		}
	}
}
