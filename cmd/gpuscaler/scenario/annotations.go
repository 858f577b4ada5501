package scenario

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy"
)

func (r *reader) readAnnotations(path string, n *yaml.Node) {
	r.annotations = map[string]string{}
	r.pairs(path, n, func(key *yaml.Node, path string, value *yaml.Node) {
		text, ok := r.scalar(path, value, "a text in quotes")
		if !ok {
			return
		}
		r.annotations[key.Value] = text
	})
}

// parseAnnotations makes the Spec of the annotations. A custom signal that the scenario gives a series needs no query.
func (r *reader) parseAnnotations() {
	if r.annotations == nil {
		return
	}
	for _, s := range r.scenario.Signals {
		r.addQuery(s.Signal)
	}
	for _, s := range r.scenario.Workload {
		r.addQuery(s.Signal)
	}
	spec, problems := policy.Parse(r.annotations, policy.Settings{
		MaxSampleAge: maxSampleAge,
		Interval:     r.scenario.Interval,
		Classes:      r.classes,
	})
	for _, p := range problems {
		r.refuseLine(r.line("annotations."+p.Key), "%s", p.Error())
	}
	r.scenario.Spec = spec
	r.scenario.Disabled = r.annotations[policy.Prefix+"enabled"] == "false"
}

// addQuery names a query for a custom signal that has none.
func (r *reader) addQuery(signal policy.Signal) {
	if _, builtin := signal.Info(); builtin {
		return
	}
	key := policy.Prefix + "query." + string(signal)
	if _, given := r.annotations[key]; !given {
		r.annotations[key] = strings.ReplaceAll(string(signal), "_", "-")
	}
}
