package promql

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gpuscaler/gpuscaler/metrics"
)

// pql knows all that any server may know.
var pql = parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true})

// expressions are valid PromQL and must all be accepted.
var expressions = []string{
	`foo`, `foo{}`, `foo{a="b"}`, `foo{a="b",}`, `{__name__="foo"}`, `{__name__=~"foo|bar",a!~"x.*"}`, `{"foo.bar"}`,
	`{"foo.bar",a="b"}`, `{"label.x"="y",__name__="foo"}`, `job:foo:rate5m`, `:foo`, `foo offset 5m`, `foo offset -1h30m`,
	`foo @ 1609746000`, `foo @ start()`, `foo @ end() offset 5m`, `rate(foo[5m])`, `rate(foo{a="b"}[5m] offset 1w)`,
	`max_over_time(rate(foo[5m])[1h:1m])`, `max_over_time(foo[1h:])`, `sum(foo)`, `sum by (a, b) (foo)`, `sum(foo) by (a)`,
	`SUM WITHOUT(a)(foo)`, `sum by () (foo)`, `topk(5, foo)`, `count_values("v", foo)`, `quantile(0.9, foo)`,
	`foo + bar`, `foo + on(a) bar`, `foo * on(a, b) group_left(c) bar`, `foo * ignoring(a) group_right bar`, `foo / on() group_left bar`,
	`foo and bar or baz unless qux`, `foo AND on (a) bar`, `foo atan2 bar`, `foo > bool bar`, `foo == bool 1`, `foo != bar`, `foo >= 2`,
	`-foo`, `+foo ^ 2`, `(foo)`, `((foo) - (bar))`, `foo + Inf`, `foo > NaN`, `foo + inf`, `1e-3 * foo`, `0x1F + foo`, `.5 * foo`, `1h + foo`,
	`label_replace(foo, "a", "$1", "b", "(.*)$")`, `label_join(foo, 'a', ",", "b")`, "foo{a=`raw\\d`}", `foo{a='single \' quote'}`,
	`histogram_quantile(0.95, sum by (le) (rate(foo_bucket[5m])))`, `absent(foo{a="b"})`, `scalar(foo) * bar`, `vector(1) + foo`,
	"foo # a comment { } [ \" \n + bar", "# first\nfoo", "foo # last", "foo{ # in braces\n a=\"b\" # more\n }", "foo\n{a=\"b\"}", "foo /* x */",
	`foo{by="x",offset="y",and="z"}`, `sum by (by, on) (foo)`, `by_name`, `sum_of_all`, `offset_x offset 1m`, `infinity`, `nano`,
	`foo{namespace="other"}`, `foo{exported_namespace="$namespace"}`, `sum by (exported_namespace) (foo)`,
	`foo{a="\"}"}`, `foo{a="{"} + bar{b="}"}`, `foo{a=~"[{}]"}`, `time() - foo`, `sort_desc(foo)`, `clamp(foo, 0, 1)`,
	`foo[5m:1m] @ 100`, `sum(rate(foo[5m])) / sum(rate(bar[5m]))`, `start_time`, `end_time @ end()`, `limitk(2, foo)`, `foo{a="é😀"}`,
	`foo and (bar or baz) > 0`, `foo or vector(0)`, `group(foo) by (a)`, `min(foo) + max(bar)`, `foo % 2`, `foo < bar`, `{a="b"}`,
	`foo offset (5m)`, `rate(foo[5m+1m])`, `rate(foo[step()*2])`, `increase(foo[5m]) anchored`, `foo + fill(0) bar`, `foo * on(a) fill_left(1) bar`,
}

// invalid lists those that this server's parser does not take after all: kept to be refused or passed on, not bound
// wrongly.
var invalid = map[string]bool{"foo /* x */": true}

func TestInjectOnRealParser(t *testing.T) {
	accepted := 0
	for _, expr := range expressions {
		if checkInjection(t, expr) {
			accepted++
		} else if _, err := pql.ParseExpr(fill(expr)); err == nil {
			_, err := metrics.Inject(expr, "ml", "llama")
			t.Errorf("%s: valid, and not accepted: %v", expr, err)
		} else if !invalid[expr] {
			t.Logf("%s is no PromQL for this server: %v", expr, err)
		}
	}
	t.Logf("%d of %d expressions bound", accepted, len(expressions))
}

// fill stands in for the variables when the original expression is parsed.
func fill(expr string) string {
	return strings.ReplaceAll(strings.ReplaceAll(expr, "$namespace", "ml"), "$deployment", "llama")
}

// checkInjection holds an accepted expression to what Inject promises, by the real parser: every selector is bound to
// the namespace, and apart from that nothing has changed. It reports whether the expression was accepted and valid.
func checkInjection(t *testing.T, expr string) bool {
	t.Helper()
	injected, err := metrics.Inject(expr, "ml", "llama")
	if err != nil {
		return false
	}
	bound, err := pql.ParseExpr(injected)
	original, originalErr := pql.ParseExpr(fill(expr))
	if err != nil {
		if originalErr == nil && !strings.Contains(expr, "$") {
			t.Errorf("%s\nbecame\n%s\nwhich is invalid: %v", expr, injected, err)
		}
		return false
	}
	parser.Inspect(bound, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(selector.LabelMatchers, func(m *labels.Matcher) bool {
			return m.Type == labels.MatchEqual && m.Value == "ml" && (m.Name == "namespace" || m.Name == "exported_namespace")
		})
		if i < 0 {
			t.Errorf("%s\nbecame\n%s\nin which %s is not bound", expr, injected, selector)
			return nil
		}
		return nil
	})
	if originalErr == nil && !strings.Contains(expr, "$") {
		if got, want := unbound(bound), original.String(); got != want {
			t.Errorf("%s\nbecame\n%s\nwhich without our matchers is\n%s, want\n%s", expr, injected, got, want)
		}
	}
	return true
}

// unbound prints an expression without the last matcher that binds each selector.
func unbound(expr parser.Expr) string {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			for i := len(selector.LabelMatchers) - 1; i >= 0; i-- {
				m := selector.LabelMatchers[i]
				if m.Type == labels.MatchEqual && m.Value == "ml" && (m.Name == "namespace" || m.Name == "exported_namespace") {
					selector.LabelMatchers = slices.Delete(selector.LabelMatchers, i, i+1)
					break
				}
			}
		}
		return nil
	})
	return expr.String()
}

func FuzzInjectOnRealParser(f *testing.F) {
	for _, expr := range expressions {
		f.Add(expr)
	}
	for _, expr := range []string{"and", "by", "offset", "start", "sum", "foo and and", "bool", "and and and", "foo{a=\"b\" or c=\"d\"}", "on on (on) on", "group_left"} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		if strings.Contains(expr, "ml") { // the name that unbound looks for
			return
		}
		checkInjection(t, expr)
	})
}

// TestNamedQueries runs named queries on the real engine.
func TestNamedQueries(t *testing.T) {
	data := database{
		`queue{namespace="ml",deployment="llama",instance="a"}`:    last(3),
		`queue{namespace="ml",deployment="llama",instance="b"}`:    last(4),
		`queue{namespace="ml",deployment="llamas",instance="a"}`:   last(100),
		`queue{namespace="other",deployment="llama",instance="a"}`: last(1000),
		`busy{namespace="ml",pod="llama-1"}`:                       last(0.5),
		`busy{namespace="ml",pod="llama-2"}`:                       last(0.25),
		`busy{namespace="other",pod="llama-3"}`:                    last(1),
		dcgm("DCGM_FI_DEV_SM_CLOCK", "x1", "llama-1", "0"):         last(1410),
		`broken{namespace="ml"}`:                                   last(-5),
	}
	p := newServer(t, data, false).reader(false)
	tests := []struct {
		query, workload string
		pods            map[string]float64
		problem         string
	}{
		{query: `sum(queue{deployment="$deployment"})`, workload: "7"},
		{query: `sum(queue{deployment=$deployment})`, workload: "7"},
		{query: `sum(queue{deployment=~"$deployment"})`, workload: "7"},
		{query: `sum(queue{deployment=~"$deployment.*"})`, workload: "107"},
		{query: `sum(queue)`, workload: "107"},
		{query: `sum(queue{namespace=~".*"})`, workload: "107"},
		{query: `sum(queue{namespace="other"})`},
		{query: `max by (pod) (busy) * 100`, pods: map[string]float64{"llama-1": 50, "llama-2": 25}},
		{query: `DCGM_FI_DEV_SM_CLOCK{exported_namespace="$namespace"}`, pods: map[string]float64{"llama-1": 1410}},
		{query: `DCGM_FI_DEV_SM_CLOCK`}, // bound to the exporter's namespace: nothing
		{query: `nothing_there`},
		{query: `broken`},
		{query: `queue`, problem: "3 series without a pod"},
		{query: `label_replace(busy, "pod", "one", "", "")`, problem: "same labelset"},
		{query: `label_replace(label_replace(busy, "x", "$1", "pod", "(.*)"), "pod", "one", "", "")`, problem: `2 series for pod "one"`},
		{query: `busy or sum(queue)`, problem: "some series carry the label pod"},
		{query: `sum(queue`, problem: "missing at the end"},
		{query: `sum(queue))`, problem: "closes nothing"},
		{query: `sum(queue) +`, problem: "parse error"},
		{query: `scalar(queue{deployment="$deployment"})`, problem: "scalar"},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			got, err := p.ReadQuery(context.Background(), metrics.Query{Name: "q", Query: tt.query}, "ml", "llama")
			if tt.problem != "" {
				checkProblem(t, err, tt.problem)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var pods map[string]float64
			for key, r := range got.Samples.All() {
				if key.Namespace != "ml" {
					t.Errorf("a reading of namespace %q", key.Namespace)
				}
				if pods == nil {
					pods = map[string]float64{}
				}
				pods[key.Pod] = r.Value
			}
			if !maps.Equal(pods, tt.pods) || got.PerPod != (tt.pods != nil) {
				t.Errorf("pods %v (per pod: %v), want %v", pods, got.PerPod, tt.pods)
			}
			if got.OK != (tt.workload != "") || got.OK && text(got.Value.Value) != tt.workload {
				t.Errorf("value %v, %v; want %q", got.Value, got.OK, tt.workload)
			}
		})
	}
}

func checkProblem(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"q"`) {
		t.Fatalf("error %v, want one with %q", err, want)
	}
	if !errors.Is(err, metrics.ErrRefused) && !errors.Is(err, metrics.ErrMalformed) {
		t.Errorf("error %v is of no fitting kind", err)
	}
}
