package monitoring

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write dashboard.json, prometheusrule.yaml and the chart's rules anew")

// same wants a file to have a text, or writes it.
func same(t *testing.T, file string, text []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%s is not what is made of its source (%v): go test ./deploy/monitoring -update writes it anew", file, err)
	}
}

func TestDashboard(t *testing.T) {
	text, err := Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "dashboard.json", text)
	var d struct {
		Panels []struct {
			ID      int
			GridPos struct{ X, Y, W, H int }
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	for i, p := range d.Panels {
		if p.ID != i+1 {
			t.Errorf("panel %s has number %d", p.Title, p.ID)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %s lies on %q or beyond the page at %d,%d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// ruleFile is a file of rules as far as it is looked at here. Package monitoring of the test module has Prometheus read it.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `json:"alert"`
			Expr        string            `json:"expr"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

// prometheusRule makes the operator's object of the rules.
func prometheusRule(rules []byte) []byte {
	var b bytes.Buffer
	b.WriteString(`# Made of rules.yaml by go test ./deploy/monitoring -update: change that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: gpuscaler
  namespace: gpuscaler-system
  labels:
    app.kubernetes.io/name: gpuscaler
spec:
`)
	_, groups, _ := strings.Cut(string(rules), "\ngroups:")
	for line := range strings.Lines("groups:" + groups) {
		if line != "\n" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.Bytes()
}

// The operator's object has the same rules, and each alert says what is the matter and what to do.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "prometheusrule.yaml", prometheusRule(text))
	same(t, "../helm/gpuscaler/files/rules.yaml", text) // Helm reads no file outside of the chart
	var plain, rules any
	var object struct{ Spec any }
	if err := yaml.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	operators, err := os.ReadFile("prometheusrule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(operators, &object); err != nil {
		t.Fatal(err)
	}
	if rules = object.Spec; !reflect.DeepEqual(plain, rules) {
		t.Error("prometheusrule.yaml has other rules than rules.yaml")
	}
	var file ruleFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Groups[0].Rules {
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s lacks a summary, what to do, or its severity", r.Alert)
		}
		if !regexp.MustCompile(`alertname: ` + r.Alert + `\s+eval_time: \S+\s+exp_alerts:\n\s+- `).Match(tests) {
			t.Errorf("%s fires in no test of rules_test.yaml", r.Alert)
		}
	}
}

// monitor is a ServiceMonitor or PodMonitor as far as it is looked at here.
type monitor struct {
	Kind string
	Spec struct {
		Selector            struct{ MatchLabels map[string]string }
		Endpoints           []map[string]any
		PodMetricsEndpoints []map[string]any
	}
}

// What is scraped keeps its own labels: namespace and workload of the one, namespace and pod of the other.
func TestMonitorsHonorLabels(t *testing.T) {
	for file, want := range map[string]struct {
		kind, name string
		endpoint   map[string]any // part of it
	}{
		"servicemonitor.yaml":        {"ServiceMonitor", "gpuscaler", map[string]any{"port": "http"}},
		"secure/servicemonitor.yaml": {"ServiceMonitor", "gpuscaler", map[string]any{"port": "https", "scheme": "https", "bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}},
		"podmonitor-nvml-agent.yaml": {"PodMonitor", "gpuscaler-nvml-agent", map[string]any{"portNumber": 9401.}},
	} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.FromSlash(file))
			if err != nil {
				t.Fatal(err)
			}
			var m monitor
			if err := yaml.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			endpoints := append(m.Spec.Endpoints, m.Spec.PodMetricsEndpoints...)
			if m.Kind != want.kind || len(endpoints) != 1 || len(m.Spec.Selector.MatchLabels) != 1 || m.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != want.name {
				t.Fatalf("%s with %d endpoints selects %v, want a %s with one that selects %s", m.Kind, len(endpoints), m.Spec.Selector.MatchLabels, want.kind, want.name)
			}
			want.endpoint["honorLabels"], want.endpoint["path"] = true, "/metrics"
			for key, value := range want.endpoint {
				if got := endpoints[0][key]; got != value {
					t.Errorf("%s is %v, want %v", key, got, value)
				}
			}
		})
	}
}
