package monitoring

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

// folder has what is tested.
const folder = "../../deploy/monitoring"

// unitTests is a file of promtool test rules, as much of it as ours has.
type unitTests struct {
	RuleFiles          []string       `json:"rule_files"`
	EvaluationInterval model.Duration `json:"evaluation_interval"`
	Tests              []unitTest     `json:"tests"`
}

type unitTest struct {
	Name     string         `json:"name"`
	Interval model.Duration `json:"interval"`
	Input    []struct {
		Series string `json:"series"`
		Values string `json:"values"`
	} `json:"input_series"`
	Alerts []expectation `json:"alert_rule_test"`
}

// expectation says which alerts of a name fire at a time.
type expectation struct {
	Time   model.Duration `json:"eval_time"`
	Name   string         `json:"alertname"`
	Alerts []struct {
		Labels      map[string]string `json:"exp_labels"`
		Annotations map[string]string `json:"exp_annotations"`
	} `json:"exp_alerts"`
}

// fire lists alerts as text, sorted.
func (e *expectation) fire() []string {
	list := make([]string, 0, len(e.Alerts))
	for _, a := range e.Alerts {
		a.Labels["alertname"] = e.Name
		list = append(list, fmt.Sprint(a.Labels, a.Annotations))
	}
	slices.Sort(list)
	return list
}

// TestRules does what promtool test rules does, whose own code is a program and cannot be imported.
func TestRules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "rules_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file unitTests
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, test := range file.Tests {
		t.Run(test.Name, func(t *testing.T) { test.run(t, &file) })
	}
}

func (u *unitTest) run(t *testing.T, file *unitTests) {
	var load strings.Builder
	fmt.Fprintf(&load, "load %v\n", u.Interval)
	for _, s := range u.Input {
		fmt.Fprintf(&load, "  %s %s\n", s.Series, s.Values)
	}
	pql := parser.NewParser(parser.Options{})
	suite, err := promqltest.NewLazyLoader(load.String(), promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true, Parser: pql})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = suite.Close() }()
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		AppendableV2: suite.Storage(), Context: t.Context(), Parser: pql, Logger: slog.New(slog.DiscardHandler),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	files := make([]string, len(file.RuleFiles))
	for i, name := range file.RuleFiles {
		files[i] = filepath.Join(folder, name)
	}
	groups, errs := manager.LoadGroups(time.Duration(u.Interval), labels.EmptyLabels(), "", nil, false, files...)
	if errs != nil {
		t.Fatal(errs)
	}
	var last model.Duration
	for i := range u.Alerts {
		last = max(last, u.Alerts[i].Time)
	}
	for at := model.Duration(0); at <= last; at += file.EvaluationInterval {
		u.evaluate(t, suite, groups, at)
	}
}

// evaluate evaluates all rules at a time and compares.
func (u *unitTest) evaluate(t *testing.T, suite *promqltest.LazyLoader, groups map[string]*rules.Group, at model.Duration) {
	t.Helper()
	ts := time.Unix(0, 0).Add(time.Duration(at)).UTC()
	suite.WithSamplesTill(ts, func(err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			g.Eval(suite.Context(), ts)
		}
	})
	for _, g := range groups {
		for _, r := range g.Rules() {
			if r.LastError() != nil {
				t.Fatalf("%s at %v: %v", r.Name(), at, r.LastError())
			}
		}
	}
	for i := range u.Alerts {
		if e := &u.Alerts[i]; e.Time == at {
			if got, want := firing(groups, e.Name), e.fire(); !slices.Equal(got, want) {
				t.Errorf("%s at %v: firing\n%s\nwant\n%s", e.Name, at, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// firing lists the alerts of a name that fire, as text, sorted.
func firing(groups map[string]*rules.Group, name string) []string {
	list := []string{}
	for _, g := range groups {
		for _, r := range g.Rules() {
			alerting, ok := r.(*rules.AlertingRule)
			if !ok || alerting.Name() != name {
				continue
			}
			for _, a := range alerting.ActiveAlerts() {
				if a.State == rules.StateFiring {
					list = append(list, fmt.Sprint(a.Labels.Map(), a.Annotations.Map()))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}
