package e2e

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// hung is a program whose write is on its way while the world changes: it has decided to raise from 2.
func hung(t *testing.T) (d stage.Deployment, resume func()) {
	t.Helper()
	p := stage.StartPrometheus(t, false)
	l := stage.NewLoad(100)
	ns := stage.Namespace(t, "race")
	d = stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), l)
	proxy, config := stage.Proxied(t)
	program := stage.Start(t, config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect=false")
	d.WaitReason(program, "WithinTolerance")
	proxy.Hang()
	l.SetLoad(200)
	bed.WaitFor(t, 20*time.Second, "a decision to raise", func() error {
		w, err := program.Workload(ns, "vision")
		if err != nil {
			return err
		}
		return bed.Want("raises", w.Desired > 2, true)
	})
	l.SetLoad(150) // of 3 pods 50 each: nothing more to do, whoever made them 3
	return d, func() {
		if err := proxy.Restore(); err != nil {
			t.Fatal(err)
		}
	}
}

// A person's kubectl scale between decision and write: our write fails and is not repeated.
func TestKubectlScaleBetweenDecisionAndWrite(t *testing.T) {
	t.Parallel()
	d, resume := hung(t)
	d.Scale(3)
	resume()
	bed.WaitFor(t, 20*time.Second, "the write that comes too late", func() error {
		return bed.Want("writes", len(d.Writes()), 1)
	})
	d.HoldsReplicas(3, 5*time.Second)
	writes := d.Writes()
	if len(writes) != 1 || writes[0].Code != http.StatusUnprocessableEntity {
		t.Errorf("writes %v, want one that was refused with 422", writes)
	}
}

// The Deployment deleted and created anew under its name: the write meant for the old one is refused.
func TestRecreatedBetweenDecisionAndWrite(t *testing.T) {
	t.Parallel()
	d, resume := hung(t)
	deployments := stage.Cluster.Client().AppsV1().Deployments(d.Namespace)
	old, err := deployments.Get(t.Context(), d.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := deployments.Delete(t.Context(), d.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	old.ObjectMeta = metav1.ObjectMeta{Name: old.Name, Namespace: old.Namespace, Labels: old.Labels, Annotations: old.Annotations}
	if _, err := deployments.Create(t.Context(), old, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	resume()
	bed.WaitFor(t, 20*time.Second, "the write that comes too late", func() error {
		if len(d.Writes()) == 0 {
			return bed.Want("writes", 0, 1)
		}
		return nil
	})
	if first := d.Writes()[0]; first.Code != http.StatusUnprocessableEntity {
		t.Errorf("the write meant for the old Deployment: %v, want 422", first)
	}
	d.NeverBelow(2, 3*time.Second)
}

// From zero a JSON Patch cannot test the number, since the member is absent then.
func TestBoundsWithoutMetrics(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "bounds")
	d := stage.Create(t, ns, "vision", 1, stage.GPUAnnotations("min-replicas", "3"), stage.NewLoad(0))
	stage.Runs(t, ns, "http://127.0.0.1:1") // nothing listens there
	d.WaitReplicas(3, 15*time.Second)
	d.Scale(12)
	d.WaitReplicas(8, 15*time.Second)
	d.Scale(0)
	d.HoldsReplicas(0, 5*time.Second) // a person's zero
}
