package e2e

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// Somebody who has the viewer role in one namespace only can look at that one: doctor finds no error, and says what it cannot see.
func TestViewerOfOneNamespace(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "tenant")
	stage.Create(t, ns, "vision", 1, stage.GPUAnnotations(), stage.NewLoad(50))
	const user = "tenant"
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "gpuscaler-viewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "gpuscaler-viewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := stage.Cluster.Client().RbacV1().RoleBindings(ns).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := stage.Cluster.UserKubeconfig(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"})`, 1)
	list := consult(t, 3, "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", kubeconfig)
	wantFinding(t, list, "warning", "read-rights", "you may not list/watch nodes")
	wantFinding(t, list, "info", "not-checked", "Nodes could not be read")
	wantFinding(t, list, "ok", "samples", "1 of 1 ready pod has samples")
	for _, f := range list {
		if f.Severity == "error" {
			t.Errorf("%+v", f)
		}
	}
}
