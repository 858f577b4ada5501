// Package install puts into a test bed what deploy/ ships, so that tests and the demo run under exactly those rights.
package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// The controller's service account, and the name of the user that has the viewer role.
const (
	Namespace      = "gpuscaler-system"
	ServiceAccount = "gpuscaler"
	Viewer         = "viewer"
)

// Rights creates the objects of the manifests in dir (deploy/rbac) and returns the kubeconfig files of the controller's service
// account and of a person with the viewer role.
func Rights(ctx context.Context, b *bed.Bed, dir string) (controller, viewer string, err error) {
	for _, pattern := range []string{"namespace.yaml", "serviceaccount.yaml", "cluster*.yaml", "role*.yaml", "viewer/cluster*.yaml"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			return "", "", fmt.Errorf("no manifest %s in %s", pattern, dir)
		}
		for _, file := range files {
			if err := create(ctx, b, file); err != nil {
				return "", "", err
			}
		}
	}
	if err := letAgentsIn(ctx, b); err != nil {
		return "", "", fmt.Errorf("letting the agents' pods in: %w", err)
	}
	if err := bindViewer(ctx, b); err != nil {
		return "", "", fmt.Errorf("binding the viewer role: %w", err)
	}
	if controller, err = b.CreateServiceAccountKubeconfig(ctx, Namespace, ServiceAccount); err != nil {
		return "", "", err
	}
	viewer, err = b.UserKubeconfig(Viewer, nil)
	return controller, viewer, err
}

// create creates the object of a manifest.
func create(ctx context.Context, b *bed.Bed, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var object unstructured.Unstructured
	if err := yaml.UnmarshalStrict(text, &object.Object); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	config := b.AdminConfig()
	groups, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	gvk := object.GroupVersionKind()
	mapping, err := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(groups)).RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Create(ctx, &object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating what %s describes: %w", file, err)
	}
	return nil
}

// letAgentsIn takes the Pod Security Standard off the controller's namespace, which a bed's agents share with it: they mount folders of their
// nodes.
func letAgentsIn(ctx context.Context, b *bed.Bed) error {
	patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
	_, err := b.Client().CoreV1().Namespaces().Patch(ctx, Namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// bindViewer grants the viewer role to a person, as an administrator does with kubectl create clusterrolebinding.
func bindViewer(ctx context.Context, b *bed.Bed) error {
	_, err := b.Client().RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "gpuscaler-viewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "gpuscaler-viewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: Viewer}},
	}, metav1.CreateOptions{})
	return err
}
