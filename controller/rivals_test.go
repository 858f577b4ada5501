package controller

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/record"

	"github.com/gpuscaler/gpuscaler/policy"
)

// autoscaler makes one as the API has it.
func autoscaler(apiVersion, kind, name string, ref map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"namespace": "ns", "name": name, "uid": "uid-" + name},
		"spec":     map[string]any{"scaleTargetRef": ref},
	}}
}

func hpa(name string, ref map[string]any) *unstructured.Unstructured {
	return autoscaler("autoscaling/v2", "HorizontalPodAutoscaler", name, ref)
}

func scaledObject(name string, ref map[string]any) *unstructured.Unstructured {
	return autoscaler("keda.sh/v1alpha1", "ScaledObject", name, ref)
}

func TestRivals(t *testing.T) {
	deployment := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
	made := hpa("keda-hpa-so", deployment)
	yes := true
	made.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "so", UID: "uid-so", Controller: &yes}})
	for name, tt := range map[string]struct {
		objects []*unstructured.Unstructured
		want    string
	}{
		"an HPA":                              {[]*unstructured.Unstructured{hpa("x", deployment)}, "HorizontalPodAutoscaler ns/x"},
		"of a StatefulSet":                    {[]*unstructured.Unstructured{hpa("x", map[string]any{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a"})}, ""},
		"of another kind so named":            {[]*unstructured.Unstructured{hpa("x", map[string]any{"apiVersion": "example.com/v1", "kind": "Deployment", "name": "a"})}, ""},
		"of another Deployment":               {[]*unstructured.Unstructured{hpa("x", map[string]any{"kind": "Deployment", "name": "b"})}, ""},
		"a ScaledObject says only the name":   {[]*unstructured.Unstructured{scaledObject("so", map[string]any{"name": "a"})}, "ScaledObject ns/so"},
		"a ScaledObject of a StatefulSet":     {[]*unstructured.Unstructured{scaledObject("so", map[string]any{"kind": "StatefulSet", "name": "a"})}, ""},
		"KEDA's HPA is named by what made it": {[]*unstructured.Unstructured{scaledObject("so", map[string]any{"name": "a"}), made}, "ScaledObject ns/so"},
		"KEDA's HPA alone":                    {[]*unstructured.Unstructured{made}, "HorizontalPodAutoscaler ns/keda-hpa-so"},
		"two":                                 {[]*unstructured.Unstructured{hpa("y", deployment), hpa("x", deployment)}, "HorizontalPodAutoscaler ns/x and HorizontalPodAutoscaler ns/y"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &store[*rival]{}
			for _, o := range tt.objects {
				if r, keep := newRival(o); keep {
					_ = s.Add(r)
				}
			}
			if got := rivalsOf([]*store[*rival]{s})[key{"ns", "a"}]; got != tt.want {
				t.Errorf("rivals %q, want %q", got, tt.want)
			}
		})
	}
}

// compete shows the bed another autoscaler of the Deployment a, or that it is gone.
func (b *bed) compete(there bool) {
	r, _ := newRival(hpa("x", map[string]any{"kind": "Deployment", "name": "a"}))
	if len(b.watches.rivals) == 0 {
		b.watches.rivals = []*store[*rival]{{}}
	}
	if there {
		_ = b.watches.rivals[0].Add(r)
	} else {
		_ = b.watches.rivals[0].Delete(r)
	}
}

// Beside another autoscaler nothing is written, up or down, not even to the bounds; when it is gone it goes on. Both are told once.
func TestConflict(t *testing.T) {
	c := newCluster() // for its log
	b := newBed(t, func(o *Options) { o.Logger = c.logger() })
	events := record.NewFakeRecorder(10)
	b.recorder = &recorder{mail: fakeMail{events}}
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.deploy("b", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.compete(true)
	s := b.tick(1)
	if w := s.Find("ns", "a"); w.Rival != "HorizontalPodAutoscaler ns/x" {
		t.Errorf("rival %q", w.Rival)
	}
	select {
	case e := <-events.Events:
		if !strings.Contains(e, "Warning Conflict HorizontalPodAutoscaler ns/x scales this Deployment too") {
			t.Errorf("event %q", e)
		}
	default:
		t.Error("no Event though nothing was to be changed: it must be told all the same")
	}
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 12, asks(policy.RunningRequests)) // above its maximum
	for n := range 3 {
		s = b.tick(2 + n)
	}
	if got := s.Find("ns", "a").Decision; got.Reason != policy.Conflict || got.Desired != 12 {
		t.Errorf("decided %d because of %s, want 12 because of Conflict", got.Desired, got.Reason)
	}
	for _, made := range b.scaler.made() {
		if strings.HasPrefix(made, "a ") {
			t.Errorf("change %q beside another autoscaler", made)
		}
	}
	b.compete(false)
	b.tick(5)
	if made := b.scaler.made(); !slices.Contains(made, "a 12->10") {
		t.Errorf("changes %q, want that it goes on when the other is gone", made)
	}
	for _, text := range []string{"Another autoscaler scales the Deployment too", "No other autoscaler scales the Deployment any more"} {
		if n := c.told(text); n != 1 {
			t.Errorf("%q is told %d times, want once", text, n)
		}
	}
}

// In a dry run the other one is reported, and the decision is what it would be without.
func TestConflictInADryRun(t *testing.T) {
	for name, tt := range map[string]struct {
		options     func(*Options)
		annotations map[string]string
	}{
		"by flag":       {func(o *Options) { o.DryRun = true }, asks(policy.RunningRequests)},
		"by annotation": {func(*Options) {}, asks(policy.RunningRequests, "dry-run", "true")},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, tt.options)
			b.reader.set(policy.RunningRequests, 100)
			b.deploy("a", 2, tt.annotations)
			b.compete(true)
			w := b.tick(0).Find("ns", "a")
			if w.Decision.Desired != 4 || w.Rival == "" {
				t.Errorf("desired %d beside %q, want 4 and the rival named", w.Decision.Desired, w.Rival)
			}
			b.want()
		})
	}
}

// InvalidAnnotations outrank a conflict.
func TestConflictAndInvalidAnnotations(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.compete(true)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests, "max-replicas", "many"))
	if w := b.tick(1).Find("ns", "a"); w.Decision.Reason != policy.InvalidAnnotations {
		t.Errorf("reason %s, want InvalidAnnotations", w.Decision.Reason)
	}
}
