package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	classes := "--classes=testdata/classes.yaml"
	for _, c := range []struct {
		golden, stdin string
		args          []string
	}{
		{"check-good.golden", "", []string{"testdata/check/good.yaml"}},
		{"check-problems.golden", "", []string{"testdata/check/problems.yaml"}},
		{"check-problems-json.golden", "", []string{"testdata/check/problems.yaml", "-o", "json"}},
		{"check-warnings.golden", "", []string{"testdata/check/warnings.yml"}},
		{"check-folder.golden", "", []string{"testdata/check", classes}},
		{"check-none-yaml.golden", "kind: Service\n", []string{"-", "-o", "yaml"}},
		{"check-template-value.golden", "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: '{{ .Values.max }}'\n", []string{"-"}},
		{"check-classes-wrong.golden", "", []string{"-", "--classes=testdata/classes-wrong.yaml"}},
		{"check-queries.golden", "", []string{"testdata/custom.yaml", "--queries=testdata/queries.yaml"}},
		{"check-queries-unknown.golden", "", []string{"testdata/custom.yaml"}},
		{"check-queries-wrong.golden", "", []string{"-", "--queries=testdata/queries-wrong.yaml"}},
		{"check-missing.golden", "", []string{"testdata/nowhere.yaml"}},
		{"check-nothing.golden", "", []string{}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			golden(t, c.golden, invoke(t, c.stdin, append([]string{"check"}, c.args...)...).String())
		})
	}
}

// TestCheckLive checks what kubectl get prints: there spec.replicas is always set, and says nothing about a manifest.
func TestCheckLive(t *testing.T) {
	live := `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": {"name": "llm", "uid": "1", "annotations": {"gpuscaler.io/enabled": "true", "gpuscaler.io/class": "vllm",
		"gpuscaler.io/max-replicas": "4"}}, "spec": {"replicas": 3}}]}`
	if got := invoke(t, live, "check", "-"); got.code != 0 || got.out != "" {
		t.Errorf("got:\n%v", got)
	}
}

// TestCheckJSONIsParsable wants what -o json prints to be what a program can read, whatever the files are.
func TestCheckJSONIsParsable(t *testing.T) {
	got := invoke(t, "", "check", "testdata/check", "-o", "json")
	var report struct {
		Problems []map[string]any `json:"problems"`
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) == 0 {
		t.Fatal("no problems")
	}
	for _, p := range report.Problems {
		for _, key := range []string{"file", "line", "namespace", "name", "key", "value", "message", "severity"} {
			if _, ok := p[key]; !ok {
				t.Errorf("%v has no %q", p, key)
			}
		}
	}
}

func FuzzParseClasses(f *testing.F) {
	for _, name := range []string{"testdata/classes.yaml", "testdata/classes-wrong.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("classes: {a: {target.queue-depth: [1]}}"))
	f.Add([]byte("classes: {a: &a {<<: *a}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		classes, err := parseClasses(text)
		if err == nil {
			return
		}
		if strings.TrimSpace(err.Error()) == "" {
			t.Errorf("an error without words for %v", classes)
		}
	})
}
