package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Severity says whether a Finding is a problem.
type Severity string

// The severities. A Warning is about something that works, though likely not as was meant.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing to say about a manifest.
type Finding struct {
	File string `json:"file"`
	// Line counts from 1.
	Line      int    `json:"line"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Key is the annotation, or the field, empty if the Finding is about the whole file.
	Key      string   `json:"key"`
	Value    string   `json:"value"`
	Message  string   `json:"message"`
	Severity Severity `json:"severity"`
}

// String returns the Finding in a line, in the form that editors and compilers agree on.
func (f Finding) String() string {
	text := f.Message
	if f.Key != "" {
		text = policy.Problem{Key: f.Key, Value: f.Value, Message: f.Message}.Error()
	}
	if f.Severity == Warning {
		text = "warning: " + text
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, text)
}

// renderFirst says what to do about a template.
const renderFirst = "templates must be rendered first: `helm template CHART | gpuscaler check -`"

// Check reads a manifest and returns what there is to say about it, in the order of its lines, and how many annotated
// Deployments it holds. The file is only a name.
func Check(file string, manifest []byte, settings policy.Settings) (findings []Finding, deployments int) {
	docs, problems := documents(manifest)
	for _, p := range problems {
		findings = append(findings, unreadable(manifest, p))
	}
	for _, d := range docs {
		for _, o := range objects(d) {
			if o.kind == "Deployment" && o.annotated() {
				deployments++
				findings = append(findings, o.check(settings)...)
			}
			findings = append(findings, o.adviseOnPlaces()...)
		}
	}
	for i := range findings {
		findings[i].File = file
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Or(a.Line-b.Line, strings.Compare(a.Key, b.Key)) })
	return slices.Compact(findings), deployments
}

// unreadable is the Finding about a document that cannot be read. If it is a template that nothing of ours is in, that is
// worth no more than a warning: folders of charts are full of them.
func unreadable(manifest []byte, p syntaxError) Finding {
	before, _, template := bytes.Cut(manifest, []byte("{{"))
	if !template {
		return Finding{Line: p.line, Message: "cannot be read: " + p.message, Severity: Error}
	}
	f := Finding{Line: bytes.Count(before, []byte("\n")) + 1, Message: "is a template and cannot be read: " + renderFirst, Severity: Error}
	if !bytes.Contains(manifest, []byte(policy.Prefix)) {
		f.Severity = Warning
	}
	return f
}

// check returns what there is to say about an annotated Deployment.
func (o *object) check(settings policy.Settings) []Finding {
	var findings []Finding
	values := map[string]string{}
	templated := map[string]bool{}
	for i := range o.annotations {
		a := &o.annotations[i]
		values[a.key] = a.value
		if !a.ours() {
			continue
		}
		if message := a.problem(); message != "" {
			findings = append(findings, o.finding(a.line, a.key, a.value, message, Error))
		}
		if strings.Contains(a.value, "{{") {
			templated[a.key] = true
		}
	}
	spec, problems := policy.Parse(values, settings)
	for _, p := range problems {
		if !templated[p.Key] {
			line, origin := o.annotationsLine, ""
			if p.Value != "" || o.has(p.Key) {
				line, origin = o.place(p.Key)
			}
			findings = append(findings, o.finding(line, p.Key, p.Value, p.Message+origin, Error))
		}
	}
	return append(findings, o.advise(&spec)...)
}

// problem tells what is wrong with how an annotation is written, empty if nothing is.
func (a *annotation) problem() string {
	switch {
	case strings.Contains(a.value, "{{"):
		return "is a template expression: " + renderFirst
	case a.before != 0:
		return fmt.Sprintf("is given twice: first on line %d", a.before)
	case a.kind != "" && a.value != "":
		return fmt.Sprintf("is written as %s, but annotations are strings and Kubernetes refuses it: quote it", a.kind)
	case a.kind != "":
		return fmt.Sprintf("is %s, but annotations are strings: give a value in quotes", a.kind)
	}
	return ""
}

// finding makes a Finding about the object.
func (o *object) finding(line int, key, value, message string, severity Severity) Finding {
	return Finding{Line: line, Namespace: o.namespace, Name: o.name, Key: key, Value: value, Message: message, Severity: severity}
}

// place returns the line of a key. One that is not on the Deployment comes from the class, and is told there.
func (o *object) place(key string) (line int, origin string) {
	line = o.annotationsLine
	for i := range o.annotations {
		a := &o.annotations[i]
		switch a.key {
		case key:
			return a.line, ""
		case policy.Prefix + "class":
			line, origin = a.line, fmt.Sprintf(" (class %s)", a.value)
		}
	}
	return line, origin
}
