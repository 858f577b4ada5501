package bed_test

import (
	"context"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const manifests = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAME}
subjects:
- {kind: ServiceAccount, name: robot, namespace: NAME}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAME}
data: {a: b}
`

func TestAppliedManifestsAct(t *testing.T) {
	ns := namespace(t)
	for range 2 { // applying again changes nothing
		if err := shared.Apply(t.Context(), []byte(strings.ReplaceAll(manifests, "NAME", ns))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := shared.Client().CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	account := "system:serviceaccount:" + ns + ":robot"
	if err := shared.WaitAllowed(ctx, account, nil, authorizationv1.ResourceAttributes{Resource: "nodes", Verb: "list"}); err != nil {
		t.Error(err)
	}
	if err := shared.Apply(t.Context(), []byte("kind: Nothing\napiVersion: v1\nmetadata: {name: x}")); err == nil || !strings.Contains(err.Error(), "applying Nothing x") {
		t.Errorf("error is %v, want one that names the object", err)
	}
}
