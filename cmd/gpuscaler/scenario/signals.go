package scenario

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// maxSeries is the most series of a signal: one for each of the oldest pods.
const maxSeries = 1000

func (r *reader) readSignals(path string, n *yaml.Node) {
	r.pairs(path, n, func(key *yaml.Node, path string, value *yaml.Node) {
		signal, ok := r.signal(key)
		if !ok {
			return
		}
		r.scenario.Signals = append(r.scenario.Signals, simulate.PodSignal{Signal: signal, Series: r.seriesList(path, value)})
	})
}

func (r *reader) readWorkload(path string, n *yaml.Node) {
	r.pairs(path, n, func(key *yaml.Node, path string, value *yaml.Node) {
		signal, ok := r.signal(key)
		if !ok {
			return
		}
		r.scenario.Workload = append(r.scenario.Workload, simulate.WorkloadSignal{Signal: signal, Series: r.series(path, value)})
	})
}

// signal reads the name of a signal.
func (r *reader) signal(key *yaml.Node) (policy.Signal, bool) {
	if signal := policy.Signal(key.Value); signal.IsName() {
		return signal, true
	}
	var names []string
	for _, info := range policy.Signals() {
		names = append(names, string(info.Signal))
	}
	r.refuse(key, "the signal %s is not allowed: give %s, or a name of your own of at most 63 lower-case letters, digits, - and _, - and _ not at the ends",
		describe(key), strings.Join(names, ", "))
	return "", false
}

// seriesList reads one series for all pods, or one for each of the oldest.
func (r *reader) seriesList(path string, n *yaml.Node) []simulate.Series {
	if n.Kind != yaml.SequenceNode {
		return []simulate.Series{r.series(path, n)}
	}
	if len(n.Content) == 0 || len(n.Content) > maxSeries {
		r.refuse(n, "%s: %d series are not allowed: give 1 to %d", quote(path), len(n.Content), maxSeries)
		return nil
	}
	parsed := map[*yaml.Node]simulate.Series{} // an anchor is read once
	list := make([]simulate.Series, len(n.Content))
	for i, item := range n.Content {
		item = resolve(item)
		series, known := parsed[item]
		if !known {
			series = r.series(fmt.Sprintf("%s[%d]", path, i+1), item)
			parsed[item] = series
		}
		list[i] = series
	}
	return list
}

// series reads one series.
func (r *reader) series(path string, n *yaml.Node) simulate.Series {
	text, ok := r.scalar(path, n, "a series such as 50x10 90+0x20 _x4")
	if !ok {
		return simulate.Series{}
	}
	series, err := simulate.ParseSeries(text)
	if err != nil {
		r.refuse(n, "%s: %v", quote(path), err)
	}
	return series
}
