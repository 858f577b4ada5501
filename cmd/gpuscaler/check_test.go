package main

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// folder makes a folder of files, and returns it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCheckLinks follows links to folders that are named, and to files, as kubectl does, and no links to folders inside.
func TestCheckLinks(t *testing.T) {
	const wrong = "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'\n"
	dir := folder(t, map[string]string{"real/sub/a.yaml": wrong, "elsewhere/b.txt": wrong})
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("real", "link")
	link(filepath.Join(dir, "elsewhere", "b.txt"), "real/b.yaml")
	link("..", "real/sub/loop.yaml")
	link("nowhere", "real/c.yaml")
	got := invoke(t, "", "check", filepath.Join(dir, "link"))
	for _, want := range []string{"link/sub/a.yaml:4: gpuscaler.io/max-replicas", "link/b.yaml:4: gpuscaler.io/max-replicas", "link/c.yaml:1: cannot be read: no such file"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%s is not among\n%v", want, got)
		}
	}
	if got.code != exitError || strings.Contains(got.out, "loop") {
		t.Errorf("got %v", got)
	}
}

// TestCheckGoesOn wants what cannot be read to hide nothing else.
func TestCheckGoesOn(t *testing.T) {
	const wrong = "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'\n"
	dir := folder(t, map[string]string{"a.yaml": wrong, "b.yaml": wrong})
	got := invoke(t, "", "check", filepath.Join(dir, "a.yaml"), filepath.Join(dir, "none.yaml"), filepath.Join(dir, "b.yaml"))
	if got.code != exitError || strings.Count(got.out, "gpuscaler.io/max-replicas") != 2 || !strings.Contains(got.err, "none.yaml: no such file or directory") {
		t.Errorf("got %v", got)
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
