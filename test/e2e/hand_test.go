package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

var update = flag.Bool("update", false, "write the managedFields that the API server makes to controller/testdata/hands")

// hands makes changes of replicas as kubectl and others do.
type hands struct{ stage.Deployment }

// manifest is a Deployment whose pods find no node.
func (h hands) manifest(replicas, image string) string {
	return fmt.Sprintf(`{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": %q, "name": %q}, "spec": {%s
		"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": {
		"nodeSelector": {"nowhere": "yes"}, "containers": [{"name": "server", "image": %q}]}}}}`, h.Namespace, h.Name, replicas, image)
}

// create creates it with kubectl's manager or another.
func (h hands) create(manager, replicas string) {
	h.T.Helper()
	var d appsv1.Deployment
	if err := json.Unmarshal([]byte(h.manifest(replicas, "server:1")), &d); err != nil {
		h.T.Fatal(err)
	}
	if _, err := stage.Cluster.Client().AppsV1().Deployments(h.Namespace).Create(h.T.Context(), &d, metav1.CreateOptions{FieldManager: manager}); err != nil {
		h.T.Fatal(err)
	}
}

// patch patches the Deployment or its scale, in another second than all before: times are cut to seconds.
func (h hands) patch(kind types.PatchType, manager, patch string, subresources ...string) {
	h.T.Helper()
	time.Sleep(1100 * time.Millisecond)
	options := metav1.PatchOptions{FieldManager: manager}
	if kind == types.ApplyPatchType {
		force := true
		options.Force = &force
	}
	if _, err := stage.Cluster.Client().AppsV1().Deployments(h.Namespace).Patch(h.T.Context(), h.Name, kind, []byte(patch), options, subresources...); err != nil {
		h.T.Fatal(err)
	}
}

// remove deletes the Deployment, whose pods others need not wait behind. The test's own context has ended by now.
func (h hands) remove() {
	if err := stage.Cluster.Client().AppsV1().Deployments(h.Namespace).Delete(context.Background(), h.Name, metav1.DeleteOptions{}); err != nil {
		h.T.Error(err)
	}
}

// The manners of changing things.
func (h hands) merge(manager, spec string) {
	h.patch(types.StrategicMergePatchType, manager, `{"spec": {`+spec+`}}`)
}

func (h hands) scale(manager string, n int) {
	h.patch(types.MergePatchType, manager, fmt.Sprintf(`{"spec": {"replicas": %d}}`, n), "scale")
}

func (h hands) ours(from string, n int) {
	h.patch(types.JSONPatchType, "gpuscaler", fmt.Sprintf(`[{"op": "test", "path": "/spec/replicas", "value": %s},
		{"op": "add", "path": "/spec/replicas", "value": %d}]`, from, n), "scale")
}

func (h hands) apply(manager, replicas string) {
	h.patch(types.ApplyPatchType, manager, h.manifest(replicas, "server:1"))
}

const (
	two    = `"replicas": 2,`
	newPod = `"template": {"spec": {"containers": [{"name": "server", "image": "server:2"}]}}`
)

// The API server notes who set what in the way that the files in controller/testdata/hands show, from which the controller's own test
// tells whose hand it was. Each is named for what was done.
func TestManagedFieldsAreNotedAsTheFilesSay(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "hands")
	for name, act := range map[string]func(hands){
		"created":                 func(h hands) { h.create("kubectl-client-side-apply", two) },
		"created-at-zero":         func(h hands) { h.create("helm", `"replicas": 0,`) },
		"created-by-apply":        func(h hands) { h.apply("kubectl", two) },
		"created-by-stranger":     func(h hands) { h.create("my-operator", two) },
		"applied-without":         func(h hands) { h.apply("kubectl", "") },
		"kubectl-scale":           func(h hands) { h.create("kubectl-client-side-apply", two); h.scale("kubectl", 4) },
		"kubectl-scale-zero":      func(h hands) { h.create("kubectl-client-side-apply", two); h.scale("kubectl", 0) },
		"kubectl-edit-zero":       func(h hands) { h.create("helm", two); h.merge("kubectl-edit", `"replicas": 0`) },
		"zero-then-kubectl-scale": func(h hands) { h.create("helm", two); h.scale("kubectl", 0); h.scale("kubectl", 3) },
		"zero-then-kubectl-edit": func(h hands) {
			h.create("helm", two)
			h.scale("kubectl", 0)
			h.merge("kubectl-edit", `"replicas": 3`)
		},
		"kubectl-edit": func(h hands) { h.create("kubectl-client-side-apply", two); h.merge("kubectl-edit", `"replicas": 4`) },
		"kubectl-patch": func(h hands) {
			h.create("kubectl-client-side-apply", two)
			h.patch(types.MergePatchType, "kubectl-patch", `{"spec": {"replicas": 4}}`)
		},
		"client-side-apply": func(h hands) {
			h.create("kubectl-client-side-apply", two)
			h.scale("gpuscaler", 4)
			h.merge("kubectl-client-side-apply", `"replicas": 2`)
		},
		"server-side-apply": func(h hands) { h.apply("argocd-controller", two); h.ours("2", 4); h.apply("argocd-controller", two) },
		"applied-as-it-was": func(h hands) {
			h.create("helm", two)
			h.ours("2", 4)
			h.apply("kustomize-controller", `"replicas": 4,`)
		},
		"applied-twice": func(h hands) {
			h.apply("argocd-controller", two)
			h.apply("kustomize-controller", `"replicas": 3,`)
		},
		"without-then-ours":       func(h hands) { h.apply("kubectl", ""); h.ours("1", 3) },
		"helm":                    func(h hands) { h.create("helm", two); h.ours("2", 4); h.merge("helm", `"replicas": 2`) },
		"ours":                    func(h hands) { h.create("helm", two); h.ours("2", 4) },
		"ours-to-zero-and-back":   func(h hands) { h.create("helm", two); h.ours("2", 0); h.ours("null", 1) },
		"ours-to-zero":            func(h hands) { h.create("helm", two); h.ours("2", 0) },
		"ours-then-another-image": func(h hands) { h.create("helm", two); h.ours("2", 4); h.merge("kubectl-edit", newPod) },
		"hpa":                     func(h hands) { h.create("helm", two); h.scale("kube-controller-manager", 4) },
		"keda":                    func(h hands) { h.create("helm", two); h.scale("keda", 4) },
		"stranger":                func(h hands) { h.create("helm", two); h.merge("my-operator", `"replicas": 4`) },
		"stranger-with-template":  func(h hands) { h.create("helm", two); h.merge("my-operator", `"replicas": 4, `+newPod) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hands{stage.Of(t, ns, name)}
			act(h)
			t.Cleanup(h.remove)
			d, err := stage.Cluster.Client().AppsV1().Deployments(ns).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			compareFields(t, d, filepath.Join("../../controller/testdata/hands", name+".json"))
		})
	}
}

// compareFields compares what the API server noted with a file, or writes the file.
func compareFields(t *testing.T, d *appsv1.Deployment, path string) {
	t.Helper()
	noted := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: d.CreationTimestamp, ManagedFields: d.ManagedFields}}
	if *update {
		text, err := json.MarshalIndent(map[string]any{"metadata": noted.ObjectMeta}, "", "  ")
		if err == nil {
			err = os.WriteFile(path, append(text, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kept appsv1.Deployment
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if got, want := outline(&noted), outline(&kept); got != want {
		t.Errorf("the API server notes\n%s\nwant, as in %s,\n%s", got, path, want)
	}
}

// outline is what matters of managedFields, with the order of the times instead of them, and without what the Deployment controller
// notes as it goes.
func outline(d *appsv1.Deployment) string {
	entries := slices.DeleteFunc(slices.Clone(d.ManagedFields), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == "kube-controller-manager" && e.Subresource != "scale"
	})
	var times []int64
	for _, e := range entries {
		if e.Time != nil {
			times = append(times, e.Time.Unix())
		}
	}
	slices.Sort(times)
	times = slices.Compact(times)
	var lines []string
	for _, e := range entries {
		when := "without a time"
		if e.Time != nil {
			when = fmt.Sprintf("as number %d, at the creation: %v", slices.Index(times, e.Time.Unix()), !e.Time.After(d.CreationTimestamp.Time))
		}
		var fields bytes.Buffer
		_ = json.Compact(&fields, e.FieldsV1.GetRawBytes()) // it has been decoded before
		lines = append(lines, fmt.Sprintf("%s %s %q %s: %s", e.Manager, e.Operation, e.Subresource, when, &fields))
	}
	return strings.Join(lines, "\n")
}
