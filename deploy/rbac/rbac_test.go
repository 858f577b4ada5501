// Package rbac checks the manifests beside it: that an API server would take
// them, that they refer to each other, and that they grant no write but the few
// the controller is for.
package rbac

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// writes is every grant that is not reading, by the role that gives it: verb,
// resource, and the name if the grant is limited to one.
var writes = map[string][]string{
	"ClusterRole gpuscaler": {
		"create events", "patch deployments/scale.apps",
	},
	"Role gpuscaler-least-busy": {"patch pods"},
	"Role gpuscaler-workloads": {
		"create events", "patch deployments/scale.apps",
	},
	"Role gpuscaler": slices.Sorted(slices.Values(append(
		shards("update configmaps gpuscaler-checkpoint-"),
		"create configmaps", "create leases.coordination.k8s.io", "update leases.coordination.k8s.io gpuscaler",
	))),
	"ClusterRole gpuscaler-dashboard-reader":     nil,
	"ClusterRole gpuscaler-least-busy":           {"patch pods"},
	"ClusterRole gpuscaler-metrics-scraper":      nil,
	"ClusterRole gpuscaler-prometheus-discovery": nil,
	"ClusterRole gpuscaler-secure-metrics": {
		"create subjectaccessreviews.authorization.k8s.io", "create tokenreviews.authentication.k8s.io",
	},
	"ClusterRole gpuscaler-viewer": nil,
}

// shards are grants for each part of the checkpoint; the controller has 16.
func shards(grant string) []string {
	var list []string
	for n := range 16 {
		list = append(list, grant+strconv.Itoa(n))
	}
	return list
}

func TestWrites(t *testing.T) {
	found := map[string][]rbacv1.PolicyRule{}
	for _, object := range manifests(t) {
		switch role := object.(type) {
		case *rbacv1.ClusterRole:
			found["ClusterRole "+role.Name] = role.Rules
		case *rbacv1.Role:
			found["Role "+role.Name] = role.Rules
		}
	}
	if got, want := slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(writes)); !slices.Equal(got, want) {
		t.Fatalf("roles are %q, want %q", got, want)
	}
	for role, rules := range found {
		if got := grantedWrites(rules); !slices.Equal(got, writes[role]) {
			t.Errorf("%s grants the writes %q, want %q", role, got, writes[role])
		}
	}
}

// grantedWrites lists what rules grant beside reading, sorted.
func grantedWrites(rules []rbacv1.PolicyRule) []string { return grants(rules, writing) }

// grants lists the verbs that are picked of rules, sorted.
func grants(rules []rbacv1.PolicyRule, pick func(verbs []string, group, resource string) []string) []string {
	var granted []string
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range pick(rule.Verbs, group, resource) {
					for _, name := range names {
						granted = append(granted, grant(verb, group, resource, name))
					}
				}
			}
		}
	}
	slices.Sort(granted)
	return granted
}

// writing returns the verbs that do more than read. With a wildcard among group
// and resource every verb counts: nobody can tell what it reads tomorrow.
func writing(verbs []string, group, resource string) []string {
	if group == rbacv1.APIGroupAll || strings.Contains(resource, rbacv1.ResourceAll) {
		return verbs
	}
	return slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool {
		return verb == "get" || verb == "list" || verb == "watch"
	})
}

// grant writes one permission with the resource as kubectl names it:
// resource.group.
func grant(verb, group, resource, name string) string {
	return strings.TrimSpace(verb + " " + strings.TrimSuffix(resource+"."+group, ".") + " " + name)
}

// TestNamespaced wants the Roles for single namespaces to grant what the ClusterRoles grant, but what is in no namespace.
func TestNamespaced(t *testing.T) {
	all := map[string][]string{}
	for _, object := range manifests(t) {
		switch role := object.(type) {
		case *rbacv1.ClusterRole:
			all["ClusterRole "+role.Name] = grants(role.Rules, every)
		case *rbacv1.Role:
			all["Role "+role.Name] = grants(role.Rules, every)
		}
	}
	for everywhere, within := range map[string]string{
		"ClusterRole gpuscaler": "Role gpuscaler-workloads", "ClusterRole gpuscaler-least-busy": "Role gpuscaler-least-busy",
	} {
		want := slices.DeleteFunc(all[everywhere], func(g string) bool {
			return strings.HasSuffix(g, " nodes") || strings.HasSuffix(g, " namespaces")
		})
		if got := all[within]; len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s grants %q, want %q", within, got, want)
		}
	}
}

// every picks all verbs.
func every(verbs []string, _, _ string) []string { return verbs }

// TestBindings wants each binding to give a role that is shipped to the
// ServiceAccount that is shipped.
func TestBindings(t *testing.T) {
	account := rbacv1.Subject{Kind: "ServiceAccount", Name: "gpuscaler", Namespace: "gpuscaler-system"}
	bound := 0
	check := func(name string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		bound++
		if _, ok := writes[ref.Kind+" "+ref.Name]; !ok {
			t.Errorf("binding %s gives %s %s, which is not shipped", name, ref.Kind, ref.Name)
		}
		if !slices.Equal(subjects, []rbacv1.Subject{account}) {
			t.Errorf("binding %s gives it to %v, want %v", name, subjects, account)
		}
	}
	for _, object := range manifests(t) {
		switch binding := object.(type) {
		case *rbacv1.ClusterRoleBinding:
			check(binding.Name, binding.RoleRef, binding.Subjects)
		case *rbacv1.RoleBinding:
			check(binding.Name, binding.RoleRef, binding.Subjects)
		}
	}
	if bound != 7 {
		t.Errorf("found %d bindings, want 7", bound)
	}
}

// manifests decodes every manifest, refusing unknown fields.
func manifests(t *testing.T) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" || filepath.Base(path) == "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Errorf("decoding %s: %v", path, err)
			return nil
		}
		objects = append(objects, object)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}
