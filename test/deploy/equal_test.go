package deploy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/diff"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// choices are what can be chosen with both: an overlay with components, and the values that mean the same.
var choices = []struct {
	overlay    string
	components []string
	namespace  string
	values     string
}{
	{"cluster-wide", nil, system, ``},
	{"single-namespace", nil, "default", `{watch: {namespaces: [default]}, prometheus: {url: ""}}`},
	{"single-namespace", []string{"without-keda"}, "default", `{watch: {namespaces: [default]}, prometheus: {url: ""}, keda: false}`},
	{"single-namespace", []string{"scale-down-order-namespaced"}, "default", `{watch: {namespaces: [default]}, prometheus: {url: ""}, scaleDownOrder: true}`},
	{"high-availability", nil, system, `replicas: 2`},
	{"scale-down-order", nil, system, `scaleDownOrder: true`},
	{"nvml-agent", nil, system, `nvmlAgent: {enabled: true}`},
	{"nvml-agent", []string{"nvml-agent-sharing"}, system, `nvmlAgent: {enabled: true, kind: sharing}`},
	{"nvml-agent", []string{"nvml-agent-host-driver"}, system, `nvmlAgent: {enabled: true, kind: host-driver}`},
	{"cluster-wide", []string{"network-policies"}, system, `networkPolicies: {enabled: true}`},
	{"cluster-wide", []string{"priority-class"}, system, `priorityClass: {create: true}`},
	{"cluster-wide", []string{"flow-schemas"}, system, `flowSchemas: true`},
	{"cluster-wide", []string{"../rbac/viewer"}, system, `viewerRole: true`},
	{"cluster-wide", []string{"monitoring"}, system, `monitoring: {enabled: true}`},
	{"cluster-wide", []string{"admission-policy"}, system, `admissionPolicy: true`},
	{"cluster-wide", []string{"secure-metrics"}, system, `secureMetrics: {enabled: true}`},
	{
		"cluster-wide",
		[]string{"secure-metrics", "secure-metrics-certificate"},
		system,
		`secureMetrics: {enabled: true, tlsSecret: gpuscaler-tls}`,
	},
	{
		"single-namespace",
		[]string{"monitoring", "secure-metrics"},
		"default",
		`{watch: {namespaces: [default]}, prometheus: {url: ""}, monitoring: {enabled: true}, secureMetrics: {enabled: true}}`,
	},
	{
		"nvml-agent",
		[]string{"network-policies", "monitoring", "secure-metrics"},
		system,
		`{nvmlAgent: {enabled: true}, networkPolicies: {enabled: true}, monitoring: {enabled: true}, secureMetrics: {enabled: true}}`,
	},
	{
		"single-namespace",
		[]string{"high-availability", "network-policies"},
		"default",
		`{watch: {namespaces: [default]}, prometheus: {url: ""}, replicas: 2, networkPolicies: {enabled: true}}`,
	},
	{
		"high-availability",
		[]string{"scale-down-order", "network-policies", "priority-class", "flow-schemas"},
		system,
		`{replicas: 2, scaleDownOrder: true, networkPolicies: {enabled: true}, priorityClass: {create: true}, flowSchemas: true}`,
	},
}

// Helm makes the same objects as kustomize for the same choices, but the namespace, which Helm leaves to the one who installs.
func TestHelmEqualsKustomize(t *testing.T) {
	for _, c := range choices {
		t.Run(fmt.Sprint(c.overlay, c.components), func(t *testing.T) {
			want := compose(t, c.namespace, c.overlay, c.components)
			delete(want, "Namespace "+system)
			got := helm(t, c.namespace, c.values)
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if got[name] == nil {
					t.Errorf("Helm makes no %s", name)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(got)) {
				if want[name] == nil {
					t.Errorf("kustomize makes no %s", name)
				} else if k, h := plain(t, want[name]), plain(t, got[name]); k != h {
					t.Errorf("%s differs (- kustomize, + Helm):\n%s", name, diff.Diff(k, h))
				}
			}
		})
	}
}

// The three kinds of agent are those that deploy/nvml-agent ships.
func TestKindsOfAgent(t *testing.T) {
	for kind, file := range map[string]string{
		"runtime": "daemonset.yaml", "sharing": "sharing/daemonset.yaml", "host-driver": "host-driver/daemonset.yaml",
	} {
		text, err := os.ReadFile(filepath.Join("../../deploy/nvml-agent", file))
		if err != nil {
			t.Fatal(err)
		}
		daemonset := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(text, &daemonset.Object); err != nil {
			t.Fatal(err)
		}
		made := helm(t, system, `nvmlAgent: {enabled: true, kind: `+kind+`, image: {repository: gpuscaler/nvml-agent, tag: dev}}`)[nameOf(daemonset)]
		if made == nil {
			t.Fatalf("%s: no DaemonSet", kind)
		}
		if s, h := plain(t, daemonset), plain(t, made); s != h {
			t.Errorf("%s differs (- shipped, + Helm):\n%s", kind, diff.Diff(s, h))
		}
	}
}

// One namespace for all would be that of the agents too, and become privileged.
func TestAgentsNeedANamespace(t *testing.T) {
	for _, overlay := range []string{"single-namespace", "cluster-wide"} {
		dir := t.TempDir()
		root := shipped(t, dir)
		text := fmt.Sprintf("namespace: team-a\nresources: [%s/overlays/%s]\ncomponents: [%s/components/nvml-agent]\n", root, overlay, root)
		if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
		if err == nil || !strings.Contains(err.Error(), "nvml-agent") {
			t.Errorf("%s in one namespace with agents: %v", overlay, err)
		}
	}
}

// What scrapes the controller is what deploy/monitoring ships, with and without TLS.
func TestServiceMonitors(t *testing.T) {
	for file, components := range map[string][]string{
		"servicemonitor.yaml": {"monitoring"}, "secure/servicemonitor.yaml": {"monitoring", "secure-metrics"},
	} {
		text, err := os.ReadFile(filepath.Join("../../deploy/monitoring", file))
		if err != nil {
			t.Fatal(err)
		}
		want := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(text, &want.Object); err != nil {
			t.Fatal(err)
		}
		got := compose(t, system, "cluster-wide", components)[nameOf(want)]
		if got == nil {
			t.Fatalf("%q: no ServiceMonitor", components)
		}
		if s, k := plain(t, want), plain(t, got); s != k {
			t.Errorf("%q differs (- shipped, + kustomize):\n%s", components, diff.Diff(s, k))
		}
	}
}

// What deploy/README.md shows as a kustomization of one's own can be rendered, and is what it says.
func TestOwnKustomization(t *testing.T) {
	readme, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(readme), "```yaml\n")
	text, _, closed := strings.Cut(text, "```")
	if !found || !closed {
		t.Fatal("there is no kustomization in README.md")
	}
	dir := t.TempDir()
	text = strings.ReplaceAll(text, "https://github.com/gpuscaler/gpuscaler//deploy/kustomize", shipped(t, dir))
	text = strings.ReplaceAll(text, "?ref="+loadChart(t).Metadata.AppVersion, "")
	all := renderOwn(t, dir, []byte(text))
	d := typed[appsv1.Deployment](t, all["Deployment "+system+"/gpuscaler"])
	c := d.Spec.Template.Spec.Containers[0]
	if want := "registry.example.com/gpuscaler:" + loadChart(t).Metadata.AppVersion; c.Image != want {
		t.Errorf("the image is %s, want %s", c.Image, want)
	}
	if want := "--prometheus-url=http://prometheus.monitoring.svc:9090"; c.Args[len(c.Args)-1] != want || *d.Spec.Replicas != 2 {
		t.Errorf("the arguments are %q, replicas %d, want %s and 2", c.Args, *d.Spec.Replicas, want)
	}
	if all["NetworkPolicy "+system+"/gpuscaler"] == nil {
		t.Error("there is no network policy")
	}
}

// compose renders an overlay with components, as people put them together in a kustomization of their own.
func compose(t *testing.T, namespace, overlay string, components []string) objects {
	t.Helper()
	dir := t.TempDir()
	root := shipped(t, dir)
	content := map[string]any{"resources": []string{filepath.Join(root, "overlays", overlay)}}
	var parts []string
	for _, c := range components {
		if strings.Contains(c, "/") {
			content["resources"] = append(content["resources"].([]string), filepath.Join(root, c))
		} else {
			parts = append(parts, filepath.Join(root, "components", c))
		}
	}
	content["components"] = parts
	if overlay == "single-namespace" {
		content["namespace"] = namespace
	}
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return renderOwn(t, dir, text)
}

// shipped is the path from a folder to deploy/kustomize: kustomize takes no absolute ones.
func shipped(t *testing.T, dir string) string {
	t.Helper()
	root, err := filepath.Abs("../../deploy/kustomize")
	if err != nil {
		t.Fatal(err)
	}
	if root, err = filepath.Rel(dir, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// renderOwn renders a kustomization in a folder of its own.
func renderOwn(t *testing.T, dir string, text []byte) objects {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return kustomize(t, filesys.MakeFsOnDisk(), dir)
}

// plain writes an object in one way, with $(POD_NAMESPACE) filled in as a kubelet does.
func plain(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "$(POD_NAMESPACE)", o.GetNamespace())
}

// Both name the same version.
func TestVersions(t *testing.T) {
	meta := loadChart(t).Metadata
	for _, dir := range []string{"kustomize/base", "nvml-agent"} {
		text, err := os.ReadFile(filepath.Join("../../deploy", dir, "kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "newTag: " + meta.AppVersion + "\n"; !strings.Contains(string(text), want) || meta.AppVersion != "v"+meta.Version {
			t.Errorf("the chart is %s of %s, %s has\n%s", meta.Version, meta.AppVersion, dir, text)
		}
	}
}
