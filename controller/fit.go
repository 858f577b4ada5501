package controller

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/klog/v2"
)

// fit tells which nodes may take the pods of a template and what they need there.
type fit struct {
	template
	terms []nodeTerm
	count count
}

// nodeTerm is one of the alternatives of a required node affinity.
type nodeTerm struct {
	labels labels.Requirements
	fields []nameRequirement
}

// nameRequirement asks for a node by name, the only field that can be asked for.
type nameRequirement struct {
	name string
	not  bool
}

// newFit reads a shape. A template that cannot be read is unknown.
func newFit(s shape) *fit {
	f := &fit{}
	if s == (shape{}) {
		f.Unknown = "the template is not known"
		return f
	}
	if err := json.Unmarshal([]byte(s.Value()), &f.template); err != nil {
		f.Unknown = err.Error()
		return f
	}
	for i := range f.Terms {
		term, ok, err := newNodeTerm(&f.Terms[i])
		if err != nil {
			f.Unknown = err.Error()
			return f
		}
		if ok {
			f.terms = append(f.terms, term)
		}
	}
	return f
}

// operators are the API's words for those of labels.
var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn:           selection.In,
	corev1.NodeSelectorOpNotIn:        selection.NotIn,
	corev1.NodeSelectorOpExists:       selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt:           selection.GreaterThan,
	corev1.NodeSelectorOpLt:           selection.LessThan,
}

// newNodeTerm reads one alternative; ok is false for an empty one, which matches no node.
func newNodeTerm(from *corev1.NodeSelectorTerm) (t nodeTerm, ok bool, err error) {
	for _, e := range from.MatchExpressions {
		r, err := labels.NewRequirement(e.Key, operators[e.Operator], e.Values)
		if err != nil {
			return t, false, fmt.Errorf("node affinity: %w", err)
		}
		t.labels = append(t.labels, *r)
	}
	for _, e := range from.MatchFields {
		in := e.Operator == corev1.NodeSelectorOpIn
		if e.Key != "metadata.name" || len(e.Values) != 1 || !in && e.Operator != corev1.NodeSelectorOpNotIn {
			return t, false, fmt.Errorf("node affinity: field %s %s %q: only metadata.name In or NotIn one value is known", e.Key, e.Operator, e.Values)
		}
		t.fields = append(t.fields, nameRequirement{e.Values[0], !in})
	}
	return t, len(t.labels)+len(t.fields) > 0, nil
}

// matches reports whether a node meets all that the alternative asks for.
func (t *nodeTerm) matches(n *node) bool {
	for i := range t.labels {
		if !t.labels[i].Matches(labels.Set(n.labels)) {
			return false
		}
	}
	for _, f := range t.fields {
		if (f.name == n.name) == f.not {
			return false
		}
	}
	return true
}

// admits reports whether a node may take the pods, whatever room it has: it is Ready, is selected, and its taints are tolerated.
func (f *fit) admits(n *node) bool {
	if !n.ready {
		return false
	}
	for key, value := range f.NodeSelector {
		if has, ok := n.labels[key]; !ok || has != value {
			return false
		}
	}
	if len(f.Terms) > 0 && !slices.ContainsFunc(f.terms, func(t nodeTerm) bool { return t.matches(n) }) {
		return false
	}
	for i := range n.taints {
		if !f.tolerates(&n.taints[i]) {
			return false
		}
	}
	return true
}

// tolerates reports whether a toleration covers the taint.
func (f *fit) tolerates(taint *corev1.Taint) bool {
	for i := range f.Tolerations {
		if f.Tolerations[i].ToleratesTaint(klog.Logger{}, taint, false) {
			return true
		}
	}
	return false
}
