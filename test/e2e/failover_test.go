package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// named starts a controller that takes part in the election of an installation of its own.
func named(t *testing.T, name, ns, prometheus string) *stage.Process {
	t.Helper()
	return stage.Start(t, stage.Cluster.Config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", prometheus,
		"--leader-elect", "--controller-name", name)
}

// allow grants an installation with a name of its own what deploy/ grants the one without.
func allow(t *testing.T, name string) {
	t.Helper()
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"gpuscaler-" + name}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "update"}},
	}
	for n := range 16 {
		rules[1].ResourceNames = append(rules[1].ResourceNames, fmt.Sprintf("gpuscaler-%s-checkpoint-%d", name, n))
	}
	if err := stage.Cluster.Grant(t.Context(), install.Namespace, stage.ControllerUser, rules...); err != nil {
		t.Fatal(err)
	}
}

// The Role of deploy/ names every ConfigMap that the controller uses.
func TestCheckpointRights(t *testing.T) {
	t.Parallel()
	may := func(verb, name string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := stage.Cluster.WaitAllowed(ctx, stage.ControllerUser, nil, authorizationv1.ResourceAttributes{
			Namespace: install.Namespace, Resource: "configmaps", Verb: verb, Name: name,
		})
		if err != nil {
			t.Error(err)
		}
	}
	may("create", "")
	for n := range 16 {
		may("get", fmt.Sprintf("gpuscaler-checkpoint-%d", n))
		may("update", fmt.Sprintf("gpuscaler-checkpoint-%d", n))
	}
}

// leaderOf waits until one of two processes leads and returns it first.
func leaderOf(t *testing.T, one, other *stage.Process) (leader, standby *stage.Process) {
	t.Helper()
	bed.WaitFor(t, 30*time.Second, "one leader", func() error {
		return bed.Want("exactly one leads", one.Leads() != other.Leads(), true)
	})
	if other.Leads() {
		return other, one
	}
	return one, other
}

// checkpoints returns the names of the ConfigMaps of an installation's checkpoint.
func checkpoints(t *testing.T, name string) []string {
	t.Helper()
	list, err := stage.Cluster.Client().CoreV1().ConfigMaps(install.Namespace).List(t.Context(), metav1.ListOptions{
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

// The leader killed with -9 inside a scale-down window of 60 s: the other goes on, and the window ends when it would have.
func TestWindowSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "window")
	allow(t, "window")
	l := stage.NewLoad(200)
	d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations("scale-down.stabilization", "60s"), l)
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} == 50)`, 4)
	leader, standby := leaderOf(t, named(t, "window", ns, p.URL()), named(t, "window", ns, p.URL()))
	d.WaitReason(leader, "WithinTolerance")
	l.SetLoad(40)
	d.WaitReason(leader, "ScaleDownStabilized")
	began := time.Now()
	bed.Holds(t, 15*time.Second, "4 replicas", func() error { return bed.Want("spec.replicas", d.Replicas(), 4) })
	leader.Kill()
	d.WaitReplicas(1, 75*time.Second)
	if took := time.Since(began); took < 56*time.Second || took > 66*time.Second {
		t.Errorf("lowered after %s, want when the window of 60 s ended", took)
	}
	if !standby.Leads() {
		t.Error("the standby does not lead")
	}
	if !strings.Contains(standby.Output(), "Going on from the checkpoint") {
		t.Error("the standby does not say that it goes on from the checkpoint")
	}
	d.WantWrites(1)
}

// A checkpoint that someone has overwritten: a warning, and nothing is lowered for a window. Then all goes on, with a good one.
func TestBrokenCheckpoint(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "broken")
	allow(t, "broken")
	l := stage.NewLoad(200)
	d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations("scale-down.stabilization", "15s"), l)
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} == 50)`, 4)
	first := named(t, "broken", ns, p.URL())
	d.WaitReason(first, "WithinTolerance")
	bed.WaitFor(t, 15*time.Second, "a checkpoint", func() error { return bed.Want("ConfigMaps", len(checkpoints(t, "broken")), 1) })
	first.Kill()
	l.SetLoad(40)
	client := stage.Cluster.Client().CoreV1().ConfigMaps(install.Namespace)
	stored, err := client.Get(t.Context(), checkpoints(t, "broken")[0], metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored.BinaryData = map[string][]byte{"checkpoint.json.gz": []byte("not of ours")}
	if stored, err = client.Update(t.Context(), stored, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	second := named(t, "broken", ns, p.URL())
	bed.WaitFor(t, 30*time.Second, "the next leader", func() error { return bed.Want("leads", second.Leads(), true) })
	leads := time.Now()
	d.WaitReplicas(1, 40*time.Second)
	if took := time.Since(leads); took < 13*time.Second {
		t.Errorf("lowered %s after it led, want a full window of 15 s", took)
	}
	if out := second.Output(); !strings.Contains(out, "A part of the checkpoint is ignored") || !strings.Contains(out, stored.Name) {
		t.Error("no warning names the part that is ignored")
	}
	bed.WaitFor(t, 15*time.Second, "a good checkpoint", func() error {
		now, err := client.Get(t.Context(), stored.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.ResourceVersion == stored.ResourceVersion {
			return fmt.Errorf("version is still %s", stored.ResourceVersion)
		}
		return nil
	})
}
