package metrics

import (
	"strings"
	"testing"
)

func TestInject(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`foo`, `foo{namespace="ml"}`},
		{`foo{}`, `foo{namespace="ml"}`},
		{`{a="b"}`, `{a="b",namespace="ml"}`},
		{`foo{a="b",} offset 5m`, `foo{a="b",namespace="ml"} offset 5m`},
		{`sum by (pod) (rate(foo{a="x"}[5m]))`, `sum by (pod) (rate(foo{a="x",namespace="ml"}[5m]))`},
		{`foo and on (pod) bar`, `foo{namespace="ml"} and on (pod) bar{namespace="ml"}`},
		{`foo{namespace="other"}`, `foo{namespace="other",namespace="ml"}`},
		{`foo{exported_namespace!=""}`, `foo{exported_namespace!="",exported_namespace="ml"}`},
		{`foo{a="exported_namespace"}`, `foo{a="exported_namespace",namespace="ml"}`},
		{`foo{d="$deployment"}`, `foo{d="llama.2",namespace="ml"}`},
		{`foo{d=$deployment, n=$namespace}`, `foo{d="llama.2", n="ml",namespace="ml"}`},
		{`foo{d=~"$deployment-.*$"}`, `foo{d=~"llama\\.2-.*$",namespace="ml"}`},
		{"foo{d=~`$deployment`}", "foo{d=~`llama\\.2`,namespace=\"ml\"}"},
		{`foo{d="$deployments $x"}`, `foo{d="$deployments $x",namespace="ml"}`},
		{`label_replace(foo, "a", "$1", "b", "(.*)")`, `label_replace(foo{namespace="ml"}, "a", "$1", "b", "(.*)")`},
		{`count_values("$deployment", foo)`, `count_values("llama.2", foo{namespace="ml"})`},
		{"foo # no {brace}\n", "foo{namespace=\"ml\"} # no {brace}\n"},
		{`foo[5m:1m] @ end()`, `foo{namespace="ml"}[5m:1m] @ end()`},
		{`Inf * NaN * foo`, `Inf * NaN * foo{namespace="ml"}`},
	}
	for _, tt := range tests {
		got, err := Inject(tt.expr, "ml", "llama.2")
		if err != nil || got != tt.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tt.expr, got, err, tt.want)
		}
	}
}

func TestInjectRefuses(t *testing.T) {
	tests := map[string]string{
		``:                           "no selector",
		`vector(1)`:                  "no selector",
		`1 + 2`:                      "no selector",
		`foo{`:                       "never closed",
		`foo{a="b"`:                  "never closed",
		`foo{a="b}`:                  "line 1, column 7: a string that does not end",
		"foo{a=\"b\n\"}":             "does not end on its line",
		`foo{a=b}`:                   "values are quoted",
		`foo{a}`:                     `behind the label "a"`,
		`foo{a="b" or c="d"}`:        "within the braces",
		`foo{a="b" c="d"}`:           "within the braces",
		`foo{,}`:                     "within the braces",
		`foo{(a="b")}`:               "within the braces",
		`foo)`:                       "closes nothing",
		`(foo`:                       "missing at the end",
		`foo}`:                       "closes nothing",
		`foo[5m`:                     "never closed",
		`foo[bar]`:                   "within the brackets",
		`foo[{a="b"}]`:               "within the brackets",
		`and`:                        "word of PromQL",
		`by`:                         "word of PromQL",
		`offset`:                     "word of PromQL",
		`start`:                      "word of PromQL",
		`sum`:                        "word of PromQL",
		`foo + bool`:                 "word of PromQL",
		`foo and and`:                "word of PromQL",
		`group_left`:                 "word of PromQL",
		`inf{a="b"}`:                 "word of PromQL",
		`sum by foo`:                 "word of PromQL",
		`sum by (a`:                  "never closed",
		`sum by ({a="b"}) (foo)`:     "list of labels",
		`foo{a=$cluster}`:            `"$cluster" is unknown; $namespace and $deployment`,
		`foo; bar`:                   `character ';'`,
		`foo\-bar`:                   `character '\\'`,
		"foo\xff":                    "UTF-8",
		`foo + $`:                    `character '$'`,
		strings.Repeat("a", 1<<17):   "at most",
		"foo\n  + bar{":              "line 2, column 8",
		"foo{a=~`$deployment`} + `x": "does not end",
	}
	for expr, want := range tests {
		got, err := Inject(expr, "ml", "llama")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %s, %v; want an error with %q", expr, got, err, want)
		}
	}
}

// FuzzInjectNamespace: no panic; what is accepted has as many matchers as it should have, and binding it again changes
// nothing but adding the same matchers. That every selector is bound is held against Prometheus' own parser elsewhere.
func FuzzInjectNamespace(f *testing.F) {
	for _, expr := range []string{
		`sum by (pod) (rate(foo{a=~"$deployment.*"}[5m:1m] offset 1h)) / on (pod) group_left bar @ end()`,
		"foo # {\n{a='}'}", "and and", `{"a.b", c="$namespace"}`, "`", `foo{exported_namespace=""}`, `count_values("x", foo) > bool 1`,
	} {
		f.Add(expr, "ml", "llama")
	}
	f.Add(`foo{a="$deployment"}`, "a\"b", "`\n'\"\\\xff")
	f.Fuzz(func(t *testing.T, expr, namespace, deployment string) {
		once, err := Inject(expr, namespace, deployment)
		if err != nil {
			if err.Error() == "" {
				t.Error("an empty message")
			}
			return
		}
		if !strings.Contains(once, "namespace="+quote(namespace)) {
			t.Fatalf("%q became %q, without the namespace", expr, once)
		}
		if strings.Contains(once, "$") || len(once) > maxExpression {
			return
		}
		twice, err := Inject(once, namespace, deployment)
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", expr, once, err)
		}
		matcher := "namespace=" + quote(namespace)
		if added := len(twice) - len(once); added < len(matcher) {
			t.Fatalf("%q became %q and then %q", expr, once, twice)
		}
	})
}

func TestParseQueries(t *testing.T) {
	queries, err := ParseQueries([]byte("queries:\n  gateway-queue: {query: 'sum(q{d=\"$deployment\"})', unit: requests}\n  other: {query: foo}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Query{Name: "gateway-queue", Query: `sum(q{d="$deployment"})`, Unit: "requests"}
	if len(queries) != 2 || queries["gateway-queue"] != want {
		t.Errorf("%+v", queries)
	}
	for _, text := range []string{"", "queries: {}\n", "# nothing\n"} {
		if queries, err := ParseQueries([]byte(text)); err != nil || len(queries) != 0 {
			t.Errorf("%q: %v, %v", text, queries, err)
		}
	}
}

func TestParseQueriesErrors(t *testing.T) {
	tests := map[string][]string{
		"queries: {Bad_Name: {query: foo}, b: {query: 'sum('}, c: {}}": {`"Bad_Name"`, `"b"`, "missing at the end", `"c"`, "no selector"},
		"queries: {a: {query: foo, typo: x}}":                          {"typo"},
		"query: {}":                                                    {"query"},
		"queries: [a]":                                                 {"cannot unmarshal"},
		"queries: {}\n---\nqueries: {}":                                {"second document"},
		"queries: {a: {query: foo}, a: {query: bar}}":                  {"already defined"},
	}
	for text, wants := range tests {
		_, err := ParseQueries([]byte(text))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", text, err, want)
			}
		}
	}
}
