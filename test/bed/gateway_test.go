package bed_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// ofConfigMaps are requests for ConfigMaps with one of some verbs.
func ofConfigMaps(verbs string) bed.Calls {
	return func(c *bed.Call) bool { return c.Resource == "configmaps" && strings.Contains(verbs, c.Verb) }
}

// gatewayed is a client that asks through a gateway as a service account that may do everything.
func gatewayed(t *testing.T) (*bed.Gateway, kubernetes.Interface, string) {
	t.Helper()
	ns, err := shared.Namespace(t.Context(), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	config, err := shared.ServiceAccountConfig(t.Context(), ns, "asker")
	if err != nil {
		t.Fatal(err)
	}
	_, err = shared.Client().RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "asker"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "asker"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := shared.NewGateway()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(gateway.Through(config))
	if err != nil {
		t.Fatal(err)
	}
	return gateway, client, ns
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": strings.Repeat("value ", 100)}}
}

// Single requests fail as they are told to, and all others pass with the rights of who asks.
func TestGatewaySpoilsSingleRequests(t *testing.T) {
	gateway, client, ns := gatewayed(t)
	maps := client.CoreV1().ConfigMaps(ns)
	create := func(name string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := maps.Create(ctx, configMap(name), metav1.CreateOptions{})
		return err
	}
	exists := func(name string) bool {
		_, err := shared.Client().CoreV1().ConfigMaps(ns).Get(t.Context(), name, metav1.GetOptions{})
		return err == nil
	}
	if err := create("whole"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("who may not list nodes: %v, want forbidden", err)
	}
	for name, c := range map[string]struct {
		fault bed.Fault
		is    func(error) bool
		made  bool
	}{
		"forbidden": {bed.Answer(http.StatusForbidden, metav1.StatusReasonForbidden, 0), apierrors.IsForbidden, false},
		"conflict":  {bed.Answer(http.StatusConflict, metav1.StatusReasonConflict, 0), apierrors.IsConflict, false},
		"refused":   {bed.Refused, func(err error) bool { return err != nil && apierrors.ReasonForError(err) == "" }, false},
		"lost":      {bed.Lost, func(err error) bool { return err != nil && apierrors.ReasonForError(err) == "" }, true},
		"late":      {bed.Late(time.Minute, nil), func(err error) bool { return err != nil && strings.Contains(err.Error(), "deadline") }, false},
		"in-time":   {bed.Late(time.Millisecond, nil), func(err error) bool { return err == nil }, true},
		"throttled": {
			bed.Answer(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 7*time.Second),
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "deadline") }, // client-go waits by itself
			false,
		},
	} {
		gateway.Break(ofConfigMaps("create"), c.fault)
		if err := create(name); !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := maps.Get(t.Context(), "whole", metav1.GetOptions{}); err != nil {
			t.Errorf("%s: another request: %v", name, err)
		}
		if got := exists(name); got != c.made {
			t.Errorf("%s: carried out: %t, want %t", name, got, c.made)
		}
	}
	gateway.Break(ofConfigMaps("get"), bed.Truncated)
	if _, err := maps.Get(t.Context(), "whole", metav1.GetOptions{}); err == nil {
		t.Error("half an answer passes for a whole one")
	}
	gateway.Break(ofConfigMaps("get"), bed.Stalled)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := maps.Get(ctx, "whole", metav1.GetOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stalled: %v, want an exceeded deadline", err)
	}
	gateway.Heal()
	if err := create("healed"); err != nil {
		t.Error(err)
	}
}

// waitTold waits until a watch tells that a ConfigMap was made.
func waitTold(t *testing.T, w watch.Interface, name string) {
	t.Helper()
	for {
		select {
		case e, ok := <-w.ResultChan():
			if !ok {
				t.Fatalf("the watch ends before it tells of %s", name)
			}
			if c, ok := e.Object.(*corev1.ConfigMap); ok && e.Type == watch.Added && c.Name == name {
				return
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("the watch does not tell of %s", name)
		}
	}
}

// A watch that is held stays open and tells nothing until it is held no more; one that is cut ends.
func TestGatewayHoldsAndCutsWatches(t *testing.T) {
	gateway, client, ns := gatewayed(t)
	w, err := client.CoreV1().ConfigMaps(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	create := func(name string) {
		t.Helper()
		if _, err := shared.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), configMap(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("first")
	waitTold(t, w, "first")
	gateway.Hold(ofConfigMaps("watch"))
	create("second")
	select {
	case e, ok := <-w.ResultChan():
		t.Fatalf("held: %v, %t", e, ok)
	case <-time.After(500 * time.Millisecond):
	}
	gateway.Heal()
	waitTold(t, w, "second")
	gateway.Cut(ofConfigMaps("watch"))
	select {
	case e, ok := <-w.ResultChan():
		if ok && e.Type != watch.Error {
			t.Errorf("cut: %v", e)
		}
	case <-time.After(5 * time.Second):
		t.Error("a watch that is cut stays open")
	}
}
