package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gpuscaler/gpuscaler/policy"
)

// TestLines wants each Finding on the line that has to be changed.
func TestLines(t *testing.T) {
	for _, c := range []struct{ name, manifest, want string }{
		{"own line", "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'", "4 max-replicas"},
		{"missing key: where the annotations begin", "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/enabled: 'true'", "3 max-replicas"},
		{"from a class: the line of the class", "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/class: bad\n    gpuscaler.io/max-replicas: '1'", "4 min-replicas"},
		{"anchor: where the value is written", "x: &a\n  gpuscaler.io/max-replicas: 'x'\nkind: Deployment\nmetadata:\n  annotations:\n    <<: *a\n", "2 max-replicas"},
		{"own key wins over a merged one", "x: &a\n  gpuscaler.io/max-replicas: '4'\nkind: Deployment\nmetadata:\n  annotations:\n    <<: *a\n    gpuscaler.io/max-replicas: 'x'\n", "7 max-replicas"},
		{"second document", "a: 1\n---\nkind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'", "6 max-replicas"},
		{"second document after a broken one", "a: [\n---\nkind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'", "6 max-replicas"},
		{"Windows line ends", "a: 1\r\n---\r\nkind: Deployment\r\nmetadata:\r\n  annotations:\r\n    gpuscaler.io/max-replicas: 'x'\r\n", "6 max-replicas"},
		{"JSON", "{\"kind\": \"Deployment\",\n\t\"metadata\": {\"annotations\": {\n\n\t\"gpuscaler.io/max-replicas\": \"x\"}}}", "4 max-replicas"},
		{"second JSON value", "{}\n{\"kind\": \"Deployment\",\n\"metadata\": {\"annotations\": {\"gpuscaler.io/max-replicas\": \"x\"}}}", "3 max-replicas"},
		{"YAML that looks like JSON", "{kind: Deployment,\nmetadata: {annotations: {gpuscaler.io/max-replicas: 'x'}}}", "2 max-replicas"},
		{"byte order mark", "\ufeffkind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'", "4 max-replicas"},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := policy.Settings{Classes: map[string]map[string]string{"bad": {"min-replicas": "-1", "target.queue-depth": "1"}}}
			findings, n := Check("f", []byte(c.manifest), settings)
			var got []string
			for _, f := range findings {
				got = append(got, fmt.Sprintf("%d %s", f.Line, strings.TrimPrefix(f.Key, policy.Prefix)))
			}
			if n != 1 || !slices.Contains(got, c.want) {
				t.Errorf("got %d Deployments and %q, want one and %q among it", n, got, c.want)
			}
		})
	}
}

// TestUnquoted wants exactly those values refused that Kubernetes' own reader does not read as strings.
func TestUnquoted(t *testing.T) {
	for _, value := range []string{
		"true", "yes", "on", "off", "n", "y", "True", "1", "0x10", "1e3", "1_000", ".inf", ".nan", "null", "~", "12:30:45", "2026-01-01", "0b11", "0o7", "010",
		"5m", "80%", "max", "auto", `"4 pods/15s, 100%/15s"`, "4 pods/15s, 100%/15s", "<30:-1", `"1"`, `'true'`, "!!str 1", `!!int "1"`, "75 ", "-", "+1", "1.2.3",
	} {
		manifest := "kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/class: " + value + "\n"
		var object map[string]any
		if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
			continue // not for a reader to judge what is no YAML
		}
		_, isString := object["metadata"].(map[string]any)["annotations"].(map[string]any)["gpuscaler.io/class"].(string)
		findings, _ := Check("f", []byte(manifest), policy.Settings{})
		refused := slices.ContainsFunc(findings, func(f Finding) bool { return strings.Contains(f.Message, "annotations are strings") })
		if refused == isString {
			t.Errorf("%s: Kubernetes reads a string: %t; refused: %t", value, isString, refused)
		}
	}
}

// TestSameProblemsInEveryForm writes random annotations as YAML, as JSON and inside a List, and wants the problems that
// policy.Parse reports, no more and no fewer.
func TestSameProblemsInEveryForm(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	keys := []string{"enabled", "class", "min-replicas", "max-replicas", "target.kv-cache", "target.ttft-p95", "steps.queue-depth", "bogus", "schedule"}
	values := []string{"true", "vllm", "1", "9", "-3", "80", "", "{", "<1:-1", "yes\nno", "ü", "# no comment", "- a", "'"}
	for range 500 {
		annotations := map[string]string{policy.Prefix + "enabled": "true"}
		for range random.IntN(len(keys)) {
			annotations[policy.Prefix+keys[random.IntN(len(keys))]] = values[random.IntN(len(values))]
		}
		deployment := map[string]any{"kind": "Deployment", "metadata": map[string]any{"name": "x", "annotations": annotations}}
		list := map[string]any{"kind": "List", "items": []any{deployment}}
		_, problems := policy.Parse(annotations, policy.Settings{})
		want := problemSet(problems)
		for _, value := range []any{deployment, list} {
			asYAML, err := yaml.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			asJSON, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			for _, manifest := range [][]byte{asYAML, asJSON} {
				findings, n := Check("f", manifest, policy.Settings{})
				if got := findingSet(findings); n != 1 || !slices.Equal(got, want) {
					t.Fatalf("%s\ngot  %q\nwant %q", manifest, got, want)
				}
			}
		}
	}
}

func problemSet(problems policy.Problems) []string {
	var set []string
	for _, p := range problems {
		set = append(set, p.Key+"|"+p.Value)
	}
	slices.Sort(set)
	return slices.Compact(set)
}

func findingSet(findings []Finding) []string {
	var set []string
	for _, f := range findings {
		if f.Severity == Error {
			set = append(set, f.Key+"|"+f.Value)
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// FuzzCheck wants a place within the file for whatever is found, and the same again the second time.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		"", "---", "{{", "[", "{", "a: &a [*a]", "kind: List\nitems: &i\n- *i\n", "kind: Deployment\nmetadata: &m\n  annotations: &a\n    <<: [*a, *m]\n",
		"kind: Deployment\nmetadata:\n  annotations:\n    gpuscaler.io/max-replicas: 'x'\n---\n%YAML 1.2\n---\n...\n",
		`{"kind": "Deployment", "metadata": {"annotations": {"gpuscaler.io/enabled": "\ud83d", "gpuscaler.io/class": 1e999}}}`,
		"? {a: b}\n: c\n? [x]\n: y\nkind: Deployment", "kind: !!binary aGVsbG8=\nitems: !!set {a, b}", "\tkind: x", "\x00", "a: |\n  ---\n---\nb",
		"kind: Deployment\nmetadata: {annotations: {gpuscaler.io/target.kv-cache: '80', gpuscaler.io/max-replicas: '2'}}\nspec: {replicas: 2}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, manifest []byte) {
		findings, n := Check("f", manifest, policy.Settings{})
		lines := bytes.Count(manifest, []byte("\n")) + 1
		for _, finding := range findings {
			if finding.Line < 1 || finding.Line > lines {
				t.Errorf("%v is outside of the %d lines", finding, lines)
			}
			if finding.Message == "" || finding.Severity != Error && finding.Severity != Warning {
				t.Errorf("incomplete: %+v", finding)
			}
		}
		again, m := Check("f", manifest, policy.Settings{})
		if n != m || !slices.Equal(findings, again) {
			t.Errorf("the second time differs: %d %v, %d %v", n, findings, m, again)
		}
	})
}
