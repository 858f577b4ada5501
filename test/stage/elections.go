package stage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/install"
)

// AllowName grants an installation with a name of its own what deploy/ grants the one without.
func AllowName(t testing.TB, name string) {
	t.Helper()
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"gpuscaler-" + name}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "update"}},
	}
	for n := range 16 {
		rules[1].ResourceNames = append(rules[1].ResourceNames, fmt.Sprintf("gpuscaler-%s-checkpoint-%d", name, n))
	}
	if err := Cluster.Grant(t.Context(), install.Namespace, ControllerUser, rules...); err != nil {
		t.Fatal(err)
	}
}

// LeaderOf waits until one of two processes leads and returns it first.
func LeaderOf(t testing.TB, one, other *Process) (leader, standby *Process) {
	t.Helper()
	bed.WaitFor(t, 30*time.Second, "one leader", func() error {
		return bed.Want("exactly one leads", one.Leads() != other.Leads(), true)
	})
	if other.Leads() {
		return other, one
	}
	return one, other
}

// Checkpoints returns the names of the ConfigMaps of an installation's checkpoint.
func Checkpoints(t testing.TB, name string) []string {
	t.Helper()
	list, err := Cluster.Client().CoreV1().ConfigMaps(install.Namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name=gpuscaler,app.kubernetes.io/component=checkpoint",
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		if strings.HasPrefix(list.Items[i].Name, "gpuscaler-"+name+"-checkpoint-") {
			names = append(names, list.Items[i].Name)
		}
	}
	return names
}
