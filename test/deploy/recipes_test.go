package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"
	texttemplate "text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// recipe returns the first block of YAML in deploy/README.md behind a heading in bold.
func recipe(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "**"+heading)
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(rest)
	if !found || block == nil {
		t.Fatalf("there is no recipe for %s", heading)
	}
	return block[1]
}

// Flux's recipe takes the replicas out of what gpuscaler scales, and leaves those of others.
func TestFluxRecipe(t *testing.T) {
	var flux struct{ Spec map[string]any }
	if err := yaml.UnmarshalStrict([]byte(recipe(t, "Flux.")), &flux); err != nil {
		t.Fatal(err)
	}
	flux.Spec["resources"] = []string{"deployments.yaml"}
	kustomization, err := yaml.Marshal(flux.Spec)
	if err != nil {
		t.Fatal(err)
	}
	fs := filesys.MakeFsInMemory()
	for name, content := range map[string]string{
		"kustomization.yaml": string(kustomization),
		"deployments.yaml": `{apiVersion: apps/v1, kind: Deployment, metadata: {name: ours, annotations: {gpuscaler.io/enabled: "true"}}, spec: {replicas: 3}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: others}, spec: {replicas: 3}}
`,
	} {
		if err := fs.WriteFile("/app/"+name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	all := kustomize(t, fs, "/app")
	for name, want := range map[string]bool{"ours": false, "others": true} {
		if _, found, err := unstructured.NestedFieldNoCopy(all["Deployment "+name].Object, "spec", "replicas"); err != nil || found != want {
			t.Errorf("%s: spec.replicas is there: %v, %v, want %v", name, found, err, want)
		}
	}
}

// The recipe for charts writes the field only if a value asks for it.
func TestChartRecipe(t *testing.T) {
	parsed, err := texttemplate.New("").Parse(recipe(t, "Helm charts of your own**"))
	if err != nil {
		t.Fatal(err)
	}
	for want, replicas := range map[string]any{"spec:\n": nil, "spec:\n  replicas: 3\n": 3} {
		var out strings.Builder
		if err := parsed.Execute(&out, map[string]any{"Values": map[string]any{"replicas": replicas}}); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("with %v it is %q, want %q", replicas, out.String(), want)
		}
	}
}
