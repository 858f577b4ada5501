package importer

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// custom makes a target on a signal of a query, and returns the signal's name; it is empty if that cannot be.
func (t *translation) custom(field, base, query string, milli int64) string {
	signal := t.query(field, base, query)
	if signal != "" {
		t.set("target."+signal, thousandths(milli), field)
	}
	return signal
}

// query makes a signal of a query, and returns its name.
func (t *translation) query(field, base, query string) string {
	if _, err := metrics.Inject(query, "namespace-0", "deployment.0"); err != nil {
		t.gap(field, query, "cannot be bound to one namespace, which is done to each query here: %v", err)
		return ""
	}
	signal := t.signalName(base)
	name := t.queryName(signal, query)
	t.Queries[name] = metrics.Query{Name: name, Query: query}
	t.set("query."+signal, name, field)
	t.note("queries see the series of the Deployment's own namespace only, and no data is never taken for 0")
	return signal
}

// signalName makes a name for a signal that no other one has.
func (t *translation) signalName(base string) string {
	name := plainName(base)
	for n := 1; ; n++ {
		candidate := name
		if n > 1 {
			candidate = fmt.Sprintf("%s-%d", name, n)
		}
		if _, builtin := policy.Signal(candidate).Info(); !builtin && !t.has("query."+candidate) {
			return candidate
		}
	}
}

// queryName makes a name for a query. All that were made go into one file, where a name has one meaning.
func (t *translation) queryName(base, query string) string {
	for n := 1; ; n++ {
		candidate := base
		if n > 1 {
			candidate = fmt.Sprintf("%s-%d", base, n)
		}
		if other, taken := t.names[candidate]; !taken || other == query {
			t.names[candidate] = query
			return candidate
		}
	}
}

var unplain = regexp.MustCompile(`[^a-z0-9]+`)

// plainName makes any text a name: of lower-case letters, digits and -, short enough for a number behind it.
func plainName(text string) string {
	const longest = 50
	name := strings.Trim(unplain.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if len(name) > longest {
		name = strings.Trim(name[:longest], "-")
	}
	if name == "" {
		return "metric"
	}
	return name
}

var metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// vector writes a selector in PromQL.
func vector(name string, matchers []string) string {
	if !metricName.MatchString(name) {
		matchers = append([]string{"__name__=" + quoted(name)}, matchers...)
		name = ""
	}
	if len(matchers) == 0 {
		return name
	}
	return name + "{" + strings.Join(matchers, ", ") + "}"
}

// selectorMatchers writes a selector of labels as matchers of PromQL.
func selectorMatchers(s *metav1.LabelSelector) []string {
	if s == nil {
		return nil
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		list = append(list, label(key)+"="+quoted(s.MatchLabels[key]))
	}
	for _, e := range s.MatchExpressions {
		list = append(list, label(e.Key)+expression(e))
	}
	return list
}

// expression writes the operator and the value of a requirement.
func expression(e metav1.LabelSelectorRequirement) string {
	values := make([]string, len(e.Values))
	for i, v := range e.Values {
		values[i] = regexp.QuoteMeta(v)
	}
	switch e.Operator {
	case metav1.LabelSelectorOpNotIn:
		return "!~" + quoted(strings.Join(values, "|"))
	case metav1.LabelSelectorOpExists:
		return `!=""`
	case metav1.LabelSelectorOpDoesNotExist:
		return `=""`
	}
	return "=~" + quoted(strings.Join(values, "|"))
}

var unlabel = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// label makes a key of Kubernetes the label that exporters make of it.
func label(key string) string {
	name := unlabel.ReplaceAllString(key, "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

func quoted(text string) string { return strconv.Quote(text) }
