package deploy

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// Whoever administers a namespace, by Kubernetes' own roles, can install the controller there: nothing of it is granted that he has not
// himself, but for KEDA's ScaledObjects.
func TestNamespaceAdministratorInstalls(t *testing.T) {
	b := control(t)
	ns, err := b.Namespace(t.Context(), "team")
	if err != nil {
		t.Fatal(err)
	}
	// What admin aggregates; the controller that does it is not part of the bed.
	for _, part := range []string{"admin", "edit", "view"} {
		_, err := b.Client().RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: part},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-" + part},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "jane"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	apply := applyAs(t, "jane")
	objects := compose(t, ns, "single-namespace", []string{"without-keda"})
	for _, name := range slices.Sorted(maps.Keys(objects)) { // a Role before its RoleBinding
		bed.WaitFor(t, 10*time.Second, name, func() error { return apply(objects[name]) })
	}
	whole := compose(t, ns, "single-namespace", nil)["Role "+ns+"/gpuscaler-workloads"]
	if err := apply(whole); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "scaledobjects") {
		t.Errorf("with KEDA's rights: %v: the component without-keda is not needed any more", err)
	}
}

// applyAs returns what does a server-side apply as a user.
func applyAs(t *testing.T, user string) func(*unstructured.Unstructured) error {
	t.Helper()
	config, err := control(t).UserConfig(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(clientset.Discovery()))
	return func(o *unstructured.Unstructured) error {
		kind := o.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return err
		}
		options := metav1.ApplyOptions{FieldManager: "kubectl", Force: true}
		_, err = client.Resource(mapping.Resource).Namespace(o.GetNamespace()).Apply(t.Context(), o.GetName(), o, options)
		return err
	}
}
