// Package scenario reads scenario files: YAML that describes a Deployment, its metrics or its load, and what happens to
// it, as `gpuscaler simulate` takes them. Every problem is reported at once, with file and line, the key, the value and
// what is allowed; unknown keys are refused.
package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// maxSize is the largest scenario file, in bytes.
const maxSize = 4 << 20

// maxSampleAge is that of the controller's default.
const maxSampleAge = 90 * time.Second

// Open opens a file that a scenario names.
type Open func(path string) (io.ReadCloser, error)

// Read reads a scenario file. The name is what errors call it; open opens a trace by its path as written, which is
// relative to the scenario file; classes are the administrator's, each a set of annotations without their prefix.
func Read(name string, text io.Reader, open Open, classes map[string]map[string]string) (simulate.Scenario, error) {
	d := &document{name: name, lines: map[string]int{}}
	root, err := d.parse(text)
	if err != nil {
		return simulate.Scenario{}, err
	}
	r := reader{
		document: d, open: open, classes: classes, replicas: -1, seed: 1,
		scenario: simulate.Scenario{Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Interval: 15 * time.Second},
	}
	r.read(root)
	if len(d.problems) == 0 {
		r.validate()
	}
	return r.scenario, d.err()
}

// parse reads the one YAML document of a file. Empty ones around it are none.
func (d *document) parse(text io.Reader) (*yaml.Node, error) {
	content, err := io.ReadAll(io.LimitReader(text, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", d.name, err)
	case len(content) > maxSize:
		return nil, fmt.Errorf("reading %s: it is larger than %d MiB, which no scenario needs", d.name, maxSize>>20)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root *yaml.Node
	for {
		var next yaml.Node
		switch err := decoder.Decode(&next); {
		case errors.Is(err, io.EOF) && root == nil:
			return nil, fmt.Errorf("%s:1: the scenario is empty: give at least annotations and duration", d.name)
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, d.syntax(err)
		case len(next.Content) == 0 || next.Content[0].ShortTag() == "!!null":
		case root != nil:
			return nil, fmt.Errorf("%s:%d: a second document is not allowed: give one scenario a file", d.name, next.Line)
		default:
			root = next.Content[0]
		}
	}
}

// syntax makes "yaml: line 3: ..." an error with file and line. Of some errors the parser knows no line.
func (d *document) syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if line, what, ok := strings.Cut(rest, ": "); ok {
			return fmt.Errorf("%s:%s: not YAML: %s", d.name, line, what)
		}
	}
	return fmt.Errorf("%s:1: not YAML: %s", d.name, text)
}

// reader fills in a Scenario key by key.
type reader struct {
	*document
	open     Open
	classes  map[string]map[string]string
	scenario simulate.Scenario
	// annotations are read last: which queries exist depends on the signals.
	annotations map[string]string
	replicas    int // -1 if not given
	seed        int
	load        *loadKeys
}

// read reads all keys. Annotations come last, whatever their place.
func (r *reader) read(root *yaml.Node) {
	s := &r.scenario
	var duration, interval, startup time.Duration
	r.fields(
		"", root,
		field{"annotations", r.readAnnotations},
		field{"start", r.readStart},
		field{"interval", r.duration(&interval, time.Millisecond, 24*time.Hour)},
		field{"duration", r.duration(&duration, 0, simulate.MaxDuration)},
		field{"replicas", r.whole(&r.replicas, 0, simulate.MaxReplicas)},
		field{"startup", r.duration(&startup, 0, simulate.MaxDuration)},
		field{"gpus", r.readGPUs},
		field{"signals", r.readSignals},
		field{"workload", r.readWorkload},
		field{"load", r.readLoad},
		field{"server", r.readServer},
		field{"seed", r.whole(&r.seed, 0, 1<<53)},
		field{"events", r.readEvents},
		field{"expect", r.readExpect},
		field{"slo", r.readSLO},
	)
	if interval > 0 {
		s.Interval = interval
	}
	s.Duration, s.Startup = duration, startup
	for _, required := range []struct{ key, example string }{{"annotations", `{gpuscaler.io/max-replicas: "10", ...}`}, {"duration", "30m"}} {
		if _, given := r.lines[required.key]; !given && root.Kind == yaml.MappingNode {
			r.refuse(root, "%s is required: give %s: %s", required.key, required.key, required.example)
		}
	}
	r.finishLoad()
	r.parseAnnotations()
	if s.Replicas = r.replicas; r.replicas < 0 {
		s.Replicas = max(s.Spec.MinReplicas, 1)
	}
}

// validate finds what is wrong between keys, and puts the lines to it.
func (r *reader) validate() {
	err := r.scenario.Validate()
	if err == nil {
		return
	}
	for text := range strings.SplitSeq(err.Error(), "\n") {
		key, _, _ := strings.Cut(text, ": ")
		r.refuseLine(r.line(key), "%s", text)
	}
}

func (r *reader) readStart(path string, n *yaml.Node) {
	const allowed = "a time such as 2026-01-05T08:00:00Z"
	text, ok := r.scalar(path, n, allowed)
	if !ok {
		return
	}
	start, err := time.Parse(time.RFC3339, text)
	if err != nil {
		r.wrong(path, n, allowed)
		return
	}
	r.scenario.Start = start.UTC()
}

func (r *reader) readGPUs(path string, n *yaml.Node) {
	gpus := -1
	r.whole(&gpus, 0, maxGPUs)(path, n)
	r.scenario.GPUs = &gpus
}

// maxGPUs is far more than any cluster has.
const maxGPUs = 1<<31 - 1

func (r *reader) readSLO(path string, n *yaml.Node) {
	r.fields(path, n, field{"ttft", r.duration(&r.scenario.SLO.TTFT, time.Nanosecond, simulate.MaxDuration)})
}

func (r *reader) readExpect(path string, n *yaml.Node) {
	r.pairs(path, n, func(key *yaml.Node, path string, value *yaml.Node) {
		var bound float64
		r.number(&bound)(path, value)
		e, err := simulate.ParseExpectation(key.Value, bound)
		if err != nil {
			r.refuse(key, "%s: %v", "expect", err)
			return
		}
		r.scenario.Expect = append(r.scenario.Expect, e)
	})
}
