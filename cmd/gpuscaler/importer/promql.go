package importer

import (
	"regexp"
	"strings"
)

// query is a query of the simplest kind: an aggregation of one metric, or of its rate.
type query struct {
	aggregation, name string
	matchers          []matcher
}

// matcher is one of a selector's.
type matcher struct{ label, operator, value string }

var (
	simpleQuery  = regexp.MustCompile(`^\s*(sum|avg)\s*\(\s*(rate\s*\(\s*)?([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^{}]*)\})?\s*(\[[0-9a-z]+\]\s*\)\s*)?\)\s*$`)
	simpleMatch  = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"([^"\\]*)"\s*(,|$)`)
	firstMetric  = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*[\[{]`)
	simplePodsRE = regexp.MustCompile(`^\^?(.*?)-(?:\.\*|\.\+|\[[^\]]*\]\+?-?[^|]*)\$?$`)
)

// parseQuery reads a query, and reports whether it is of the simplest kind.
func parseQuery(text string) (query, bool) {
	found := simpleQuery.FindStringSubmatch(text)
	if found == nil || (found[2] == "") != (found[5] == "") {
		return query{}, false
	}
	q := query{aggregation: found[1], name: found[3]}
	rest := found[4]
	for strings.TrimSpace(rest) != "" {
		m := simpleMatch.FindStringSubmatch(rest)
		if m == nil {
			return query{}, false
		}
		q.matchers = append(q.matchers, matcher{m[1], m[2], m[3]})
		rest = rest[len(m[0]):]
	}
	counter := strings.HasSuffix(q.name, "_total") || strings.HasSuffix(q.name, "_count") || strings.HasSuffix(q.name, "_sum")
	return q, counter == (found[2] != "")
}

// metric is what the query reads, without the matchers that only say whose pods.
func (q query) metric() metric {
	m := metric{name: q.name}
	for _, x := range q.matchers {
		if !placeLabels[x.label] && !nameLabels[x.label] {
			m.matchers = append(m.matchers, x.label+x.operator+quoted(x.value))
		}
	}
	return m
}

// Labels that say in which namespace pods are, of which Deployment by its name, and which pods by a pattern.
var (
	placeLabels = map[string]bool{"namespace": true, "exported_namespace": true, "kubernetes_namespace": true, "pod": true, "exported_pod": true, "kubernetes_pod_name": true}
	nameLabels  = map[string]bool{"deployment": true, "app": true, "app_kubernetes_io_name": true, "app_kubernetes_io_instance": true, "service": true, "job": true, "container": true, "exported_container": true}
)

// ownPods reports whether a query reads the Deployment's own pods and no others: its namespace and its name must be matched, and
// nothing else may narrow it but what a source of a signal knows.
func (t *translation) ownPods(q query) bool {
	named := false
	for _, m := range q.matchers {
		switch {
		case strings.HasSuffix(m.label, "namespace") && placeLabels[m.label]:
			if m.operator != "=" || m.value != t.Namespace {
				return false
			}
		case placeLabels[m.label]:
			pods := simplePodsRE.FindStringSubmatch(m.value)
			if m.operator != "=~" || pods == nil || pods[1] != t.Deployment {
				return false
			}
			named = true
		case nameLabels[m.label]:
			if m.operator != "=" || m.value != t.Deployment {
				return false
			}
			named = true
		}
	}
	return named
}
