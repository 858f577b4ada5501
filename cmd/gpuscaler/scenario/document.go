package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// document is a file that is being read. It collects every problem with the line it is in.
type document struct {
	name     string
	problems []error
	// lines are the lines of the keys, by path: "load.prompt-tokens", "events[2].at".
	lines map[string]int
}

// refuse adds a problem at a node.
func (d *document) refuse(n *yaml.Node, format string, args ...any) {
	d.refuseLine(n.Line, format, args...)
}

func (d *document) refuseLine(line int, format string, args ...any) {
	d.problems = append(d.problems, fmt.Errorf("%s:%d: %s", d.name, line, fmt.Sprintf(format, args...)))
}

// err returns all problems, joined.
func (d *document) err() error { return errors.Join(d.problems...) }

// line returns where a key is, or the nearest that is around it.
func (d *document) line(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 1
}

// field is what may be under a key of a mapping, and how it is read.
type field struct {
	name string
	read func(path string, n *yaml.Node)
}

// fields reads a mapping with known keys.
func (d *document) fields(path string, n *yaml.Node, known ...field) {
	d.pairs(path, n, func(key *yaml.Node, path string, value *yaml.Node) {
		names := make([]string, len(known))
		for i, f := range known {
			if f.name == key.Value {
				f.read(path, value)
				return
			}
			names[i] = f.name
		}
		d.refuse(key, "%s is not a known key: allowed are %s", quote(path), strings.Join(names, ", "))
	})
}

// pairs goes over a mapping in its order, and over what is merged into it. It refuses what is no mapping, and keys that are there
// twice.
func (d *document) pairs(path string, n *yaml.Node, read func(key *yaml.Node, path string, value *yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		d.refuse(n, "%s: %s is not allowed: give keys and values", orFile(path), describe(n))
		return
	}
	seen := map[string]int{}
	for _, p := range d.entries(path, n) {
		key, inner := p.key, inside(path, p.key.Value)
		switch first, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.refuse(key, "%s: %s is not allowed as a key", orFile(path), describe(key))
			continue
		case twice:
			d.refuse(key, "%s is given twice: first in line %d", quote(inner), first)
			continue
		}
		seen[key.Value] = key.Line
		d.lines[inner] = key.Line
		read(key, inner, resolve(p.value))
	}
}

// resolve follows an alias to its anchor.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// orFile names what is wrong when it is the file itself.
func orFile(path string) string {
	if path == "" {
		return "the scenario"
	}
	return quote(path)
}

// quote cuts a text that is too long to be shown whole, and lets no control characters through to a terminal.
func quote(text string) string {
	const longest = 80
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	for _, c := range text {
		if !strconv.IsPrint(c) {
			return strconv.Quote(text)
		}
	}
	return text
}

// describe tells what a node is, for messages.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		return "nothing"
	}
	return strconv.Quote(quote(n.Value))
}

// scalar returns the text of a value, and refuses what is none.
func (d *document) scalar(path string, n *yaml.Node, allowed string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.wrong(path, n, allowed)
		return "", false
	}
	return n.Value, true
}

// wrong refuses a value.
func (d *document) wrong(path string, n *yaml.Node, allowed string) {
	d.refuse(n, "%s: %s is not allowed: give %s", quote(path), describe(n), allowed)
}

// duration reads a duration as Go writes it.
func (d *document) duration(to *time.Duration, least, most time.Duration) func(string, *yaml.Node) {
	allowed := fmt.Sprintf("a duration from %v to %v, such as 15s, 5m or 1h30m", least, most)
	return func(path string, n *yaml.Node) {
		text, ok := d.scalar(path, n, allowed)
		if !ok {
			return
		}
		v, err := time.ParseDuration(text)
		if err != nil || v < least || v > most {
			d.wrong(path, n, allowed)
			return
		}
		*to = v
	}
}

// whole reads a whole number.
func (d *document) whole(to *int, least, most int) func(string, *yaml.Node) {
	allowed := fmt.Sprintf("a whole number from %d to %d", least, most)
	return func(path string, n *yaml.Node) {
		text, ok := d.scalar(path, n, allowed)
		if !ok {
			return
		}
		v, err := strconv.Atoi(text)
		if err != nil || v < least || v > most {
			d.wrong(path, n, allowed)
			return
		}
		*to = v
	}
}

// number reads a finite number.
func (d *document) number(to *float64) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		text, ok := d.scalar(path, n, "a number")
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || v-v != 0 || strings.ContainsAny(text, "xXpP_") {
			d.wrong(path, n, "a number")
			return
		}
		*to = v
	}
}
