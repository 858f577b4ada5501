package bed_test

import (
	"context"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// A bed of its own whose HPA controller is left out, and whose audit log keeps what one user reads.
func TestBedWithoutAutoscalerThatAuditsReads(t *testing.T) {
	b, err := bed.Start(t.Context(), bed.Options{WithoutHPA: true, AuditReads: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	ns, err := b.Namespace(t.Context(), "options")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.Deployment(ns, "alone").Create(t.Context(), b.Client()); err != nil {
		t.Fatal(err)
	}
	lowest := int32(2)
	_, err = b.Client().AutoscalingV2().HorizontalPodAutoscalers(ns).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "alone"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "alone"},
			MinReplicas:    &lowest, MaxReplicas: 3,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reads(t, b, ns)
	// With the controller, its minimum would be there within 10 ms of its first look, which comes each second.
	bed.Holds(t, 2*time.Second, "one replica", func() error {
		d, err := b.Client().AppsV1().Deployments(ns).Get(t.Context(), "alone", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return bed.Want("spec.replicas", *d.Spec.Replicas, 1)
	})
}

// reads looks for what a user and another one read, and only for that.
func reads(t *testing.T, b *bed.Bed, ns string) {
	t.Helper()
	_, from, err := bed.ReadAudit(b.AuditLog(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"reader", "other"} {
		rule := rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"list"}}
		if err := b.Grant(t.Context(), ns, user, rule); err != nil {
			t.Fatal(err)
		}
		list(t.Context(), t, b, ns, user)
	}
	events, next, err := bed.ReadAudit(b.AuditLog(), from)
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, e := range events {
		if e.Verb == "list" {
			read = append(read, e.User+" "+e.Resource)
		}
	}
	if got := strings.Join(read, ", "); got != "reader deployments" {
		t.Errorf("the audit log has %q, want what reader read once", got)
	}
	if again, _, err := bed.ReadAudit(b.AuditLog(), next); err != nil || len(again) > 0 {
		t.Errorf("after its end the log has %v, %v", again, err)
	}
	mutations, err := b.AuditMutations("reader")
	if err != nil || len(mutations) > 0 {
		t.Errorf("reading counts as a change: %v, %v", mutations, err)
	}
}

func list(ctx context.Context, t *testing.T, b *bed.Bed, ns, user string) {
	t.Helper()
	config, err := b.UserConfig(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
}
