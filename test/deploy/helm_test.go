package deploy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../deploy/helm/gpuscaler"

// loadChart reads the chart that is shipped.
func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// template renders the chart as helm template does, with values written in YAML, into files by name.
func template(t *testing.T, namespace, values string) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	var given map[string]any
	if err := yaml.UnmarshalStrict([]byte(values), &given); err != nil {
		t.Fatalf("values %s: %v", values, err)
	}
	release := common.ReleaseOptions{Name: "gpuscaler", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, given, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(t.Context(), c, all)
}

// helm renders the chart into objects.
func helm(t *testing.T, namespace, values string) objects {
	t.Helper()
	files, err := template(t, namespace, values)
	if err != nil {
		t.Fatalf("with %s: %v", values, err)
	}
	all := objects{}
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		documents := yamlutil.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
		for {
			o := &unstructured.Unstructured{}
			if err := documents.Decode(o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			if len(o.Object) > 0 {
				all.add(t, o)
			}
		}
	}
	return all
}

// Wrong values are refused with the path of the value and what is allowed.
func TestSchemaRefuses(t *testing.T) {
	for values, want := range map[string]string{
		`replicas: 0`:                                         "at '/replicas': minimum: got 0, want 1",
		`replicas: two`:                                       "at '/replicas': got string, want integer",
		`replica: 2`:                                          "additional properties 'replica' not allowed",
		`image: {digest: "sha256:12"}`:                        "at '/image/digest': 'sha256:12' does not match pattern",
		`image: {pullPolicy: Sometimes}`:                      "at '/image/pullPolicy': value must be one of",
		`prometheus: {url: "ftp://x"}`:                        "at '/prometheus/url': 'ftp://x' does not match pattern",
		`prometheus: {httpConfigSecret: login}`:               "at '/prometheus/url': 'auto' does not match pattern '^https?://'",
		`watch: {namespaces: [Team]}`:                         "at '/watch/namespaces/0': 'Team' does not match pattern",
		`watch: {namespaces: [a, a]}`:                         "at '/watch/namespaces': items at 0 and 1 are equal",
		`watch: {namespaces: [a], namespaceSelector: team=a}`: "at '/watch/namespaceSelector': maxLength",
		`interval: 5`:                                         "at '/interval': got number, want string",
		`interval: 5 s`:                                       "at '/interval': '5 s' does not match pattern",
		`controllerName: Second`:                              "at '/controllerName': 'Second' does not match pattern",
		`extraArgs: [v]`:                                      "at '/extraArgs/0': 'v' does not match pattern",
		`networkPolicies: {podPorts: [70000]}`:                "at '/networkPolicies/podPorts/0': maximum: got 70,000, want 65,535",
		`priorityClass: {create: true, name: other}`:          "at '/priorityClass/name': maxLength",
		`nvmlAgent: {kind: privileged}`:                       "at '/nvmlAgent/kind': value must be one of",
		`nvmlAgent: {namespace: ""}`:                          "at '/nvmlAgent/namespace': '' does not match pattern",
		`secureMetrics: {tlsSecret: tls}`:                     "at '/secureMetrics/enabled': value must be true",
		`monitoring: {labels: {release: 1}}`:                  "at '/monitoring/labels/release': got number, want string",
		`dryRun: "yes"`:                                       "at '/dryRun': got string, want boolean",
	} {
		_, err := template(t, system, values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", values, err, want)
		}
	}
}

// Every value is told about above its default, and known to the schema with words of its own.
func TestValuesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	values, err := kyaml.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var schema property
	if err := yaml.Unmarshal(loadChart(t).Schema, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema.Properties, "global")
	documented(t, "", values, schema)
}

// property is what is looked at of a JSON schema.
type property struct {
	Description string
	Properties  map[string]property
}

// documented compares values with what the schema describes.
func documented(t *testing.T, path string, values *kyaml.RNode, schema property) {
	t.Helper()
	names, err := values.Fields()
	if err != nil {
		t.Fatalf("values.yaml: %s: %v", path, err)
	}
	for name, p := range schema.Properties {
		if !slices.Contains(names, name) {
			t.Errorf("values.yaml has no %s%s, which the schema knows", path, name)
		}
		if p.Description == "" {
			t.Errorf("the schema does not say what %s%s is", path, name)
		}
	}
	for _, name := range names {
		p, ok := schema.Properties[name]
		if !ok {
			t.Errorf("the schema does not know %s%s", path, name)
		}
		field := values.Field(name)
		if p.Properties != nil && name != "resources" {
			documented(t, path+name+".", field.Value, p)
		} else if field.Key.YNode().HeadComment == "" {
			t.Errorf("values.yaml does not say what %s%s is", path, name)
		}
	}
}

// The notes name what was installed.
func TestNotes(t *testing.T) {
	for values, want := range map[string]string{
		``:                                     "looks at all namespaces.",
		`watch: {namespaces: [a, b]}`:          "looks at the namespaces a, b.",
		`watch: {namespaceSelector: "team=a"}`: "looks at the namespaces with team=a.",
		`dryRun: true`:                         "It writes nothing: dryRun is set.",
		`nvmlAgent: {enabled: true}`:           "kubectl -n gpuscaler-nvml-agent get daemonset",
		`secureMetrics: {enabled: true}`:       "port-forward deployment/gpuscaler 8080\n",
		`controllerName: second`:               "logs deployment/gpuscaler-second\n",
	} {
		files, err := template(t, "gpus", values)
		if err != nil {
			t.Fatal(err)
		}
		notes := files["gpuscaler/templates/NOTES.txt"]
		if !strings.Contains(notes, want) || !strings.Contains(notes, fmt.Sprintf("kubectl -n %s ", "gpus")) {
			t.Errorf("with %s the notes say\n%s\nwant %q", values, notes, want)
		}
	}
}
