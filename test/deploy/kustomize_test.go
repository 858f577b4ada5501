package deploy

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const overlays = "../../deploy/kustomize/overlays"

// objects are rendered objects by what names them: kind, namespace and name.
type objects map[string]*unstructured.Unstructured

// nameOf names an object, as in "Role gpuscaler-system/gpuscaler".
func nameOf(o *unstructured.Unstructured) string {
	name := o.GetName()
	if ns := o.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	return o.GetKind() + " " + name
}

// add adds an object, which must not be there yet.
func (all objects) add(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	name := nameOf(o)
	if all[name] != nil {
		t.Fatalf("%s is there twice", name)
	}
	all[name] = o
}

// ordered returns the objects in an order in which they can be created: namespaces, then what is needed by others.
func (all objects) ordered() []*unstructured.Unstructured {
	first := []string{"Namespace", "PriorityClass", "ServiceAccount"}
	rank := func(o *unstructured.Unstructured) int {
		if i := slices.Index(first, o.GetKind()); i >= 0 {
			return i
		}
		return len(first)
	}
	var list []*unstructured.Unstructured
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	slices.SortStableFunc(list, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return list
}

// overlay renders one of the overlays that are shipped, as kubectl kustomize does.
func overlay(t *testing.T, name string) objects {
	t.Helper()
	return kustomize(t, filesys.MakeFsOnDisk(), filepath.Join(overlays, name))
}

// kustomize renders a folder.
func kustomize(t *testing.T, fs filesys.FileSystem, dir string) objects {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, dir)
	if err != nil {
		t.Fatalf("rendering %s: %v", dir, err)
	}
	all := objects{}
	for _, r := range rendered.Resources() {
		content, err := r.Map()
		if err != nil {
			t.Fatal(err)
		}
		all.add(t, &unstructured.Unstructured{Object: content})
	}
	return all
}
