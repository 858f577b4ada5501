package monitoring

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/deploy/monitoring"
	"github.com/gpuscaler/gpuscaler/policy"
)

// exposed are the labels of each metric that a controller registers, those of the target and of a histogram or summary included.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	registry := prometheus.NewRegistry()
	_, err := controller.New(controller.Options{
		Client: fake.NewClientset(), Signals: struct{ controller.SignalReader }{},
		Settings: policy.Settings{Interval: time.Second, MaxSampleAge: time.Minute}, Registry: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	found := map[string][]string{}
	for desc := range descs {
		// A Desc tells its name and labels by its text alone.
		parts := regexp.MustCompile(`^Desc{fqName: "([^"]+)", .*, variableLabels: {([^}]*)}}$`).FindStringSubmatch(desc.String())
		if parts == nil {
			t.Fatalf("a description is not understood: %s", desc)
		}
		names := append(strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' }), "job", "instance", "namespace", "pod")
		found[parts[1]] = append(names, "quantile")
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			found[parts[1]+suffix] = append(slices.Clone(names), "le")
		}
	}
	return found
}

// variables stand for those of the dashboard.
var variables = strings.NewReplacer("$namespace", ".*", "$workload", ".*", "$__rate_interval", "1m")

// labelValues is Grafana's way to ask for the values of a label.
var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// queries are all of deploy/monitoring by where they are.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, row := range monitoring.Rows() {
		for _, p := range row.Panels {
			for _, q := range p.Queries {
				all["panel "+p.Title+", "+q.Legend] = variables.Replace(q.Expr)
			}
		}
	}
	for name, query := range monitoring.Variables() {
		parts := labelValues.FindStringSubmatch(query)
		if parts == nil {
			t.Fatalf("variable %s is filled by %s, which is not understood", name, query)
		}
		all["variable "+name] = variables.Replace("count by (" + parts[2] + ") (" + parts[1] + ")")
	}
	alerts, err := monitoring.Alerts()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		all["alert "+a.Name] = a.Expr
	}
	return all
}

// problems returns what a query names that is not exposed.
func problems(query string, exposed map[string][]string) []string {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	// known are the labels of some metric of the query: an aggregation may have several below it.
	known := map[string]bool{}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		names, ok := exposed[selector.Name]
		if !ok {
			found = append(found, "no metric "+selector.Name)
		}
		for _, name := range names {
			known[name] = true
		}
		for _, m := range selector.LabelMatchers {
			found = append(found, wrongMatcher(m, selector.Name, names)...)
		}
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if by, ok := node.(*parser.AggregateExpr); ok {
			for _, name := range by.Grouping {
				if !known[name] {
					found = append(found, "no label "+name+" to group by")
				}
			}
		}
		return nil
	})
	return found
}

// wrongMatcher returns what is wrong with a matcher of a metric with these labels: the label, or a value that it never has.
func wrongMatcher(m *labels.Matcher, metric string, names []string) []string {
	if m.Name == model.MetricNameLabel {
		return nil
	}
	if !slices.Contains(names, m.Name) {
		return []string{metric + " has no label " + m.Name}
	}
	allowed, closed := values()[m.Name]
	if !closed {
		return nil
	}
	var found []string
	for value := range strings.SplitSeq(m.Value, "|") {
		if !slices.Contains(allowed, value) {
			found = append(found, metric+" has never "+m.Name+"="+value)
		}
	}
	return found
}

// values are those of the labels that have a closed list of them.
func values() map[string][]string {
	reasons := []string{}
	for _, r := range policy.Reasons() {
		reasons = append(reasons, string(r))
	}
	return map[string][]string{
		"reason": reasons, "state": {"serving", "loading", "overdue"}, "quantile": {"0.5", "0.9", "0.99"},
		"result": controller.WriteResults(),
	}
}

// No query names what a controller does not expose, and every metric of ours that tells of workloads is looked at by some query.
func TestNames(t *testing.T) {
	exposed := exposed(t)
	used := map[string]bool{}
	for where, query := range queries(t) {
		for _, problem := range problems(query, exposed) {
			t.Errorf("%s: %s: %s", where, query, problem)
		}
		for name := range exposed {
			if regexp.MustCompile(`\b` + name + `\b`).MatchString(query) {
				used[strings.TrimSuffix(name, "_bucket")] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(exposed)) {
		base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
		if !used[base] && base == name {
			t.Errorf("no panel and no alert looks at %s", name)
		}
	}
}

// The check finds what it is for.
func TestProblems(t *testing.T) {
	exposed := exposed(t)
	for query, want := range map[string]int{
		`max by (namespace, workload) (gpuscaler_held{reason="NoData"})`:   0,
		`max by (namespace, workload) (gpuscaler_hold{reason="NoData"})`:   4,
		`max by (namespace, deployment) (gpuscaler_held{reason="NoData"})`: 1,
		`gpuscaler_held{why="NoData"}`:                                     1,
		`gpuscaler_held{reason=~"NoData|Nothing"}`:                         1,
		`gpuscaler_gpu_seconds_total{state="idle"}`:                        1,
		`gpuscaler_scale_writes_total{result="failed"}`:                    1,
		`rate(gpuscaler_tick_duration_seconds_bucket{le="1"}[1m]) + up`:    1,
		`sum by (le) (rate(gpuscaler_tick_duration_seconds_bucket[1m]`:     1,
	} {
		if got := problems(query, exposed); len(got) != want {
			t.Errorf("%s: found %q, want %d", query, got, want)
		}
	}
}
