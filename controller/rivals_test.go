package controller

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/gpuscaler/gpuscaler/policy"
)

var hpas, scaledObjects = rivalKinds[0], rivalKinds[1]

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

// compete shows the bed another autoscaler of a Deployment, or that it is gone.
func (b *bed) compete(name string, there bool) {
	r, _ := newRival(hpa("x", map[string]any{"kind": "Deployment", "name": name}))
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
	var lines []string
	b := newBed(t, func(o *Options) {
		o.Logger = funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	})
	events := record.NewFakeRecorder(10)
	b.recorder = &recorder{sink: events}
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.deploy("b", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.compete("a", true)
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
	b.compete("a", false)
	b.tick(5)
	if made := b.scaler.made(); !slices.Contains(made, "a 12->10") {
		t.Errorf("changes %q, want that it goes on when the other is gone", made)
	}
	for _, text := range []string{"Another autoscaler scales the Deployment too", "No other autoscaler scales the Deployment any more"} {
		if n := strings.Count(strings.Join(lines, "\n"), text); n != 1 {
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
			b.compete("a", true)
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
	b.compete("a", true)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests, "max-replicas", "many"))
	if w := b.tick(1).Find("ns", "a"); w.Decision.Reason != policy.InvalidAnnotations {
		t.Errorf("reason %s, want InvalidAnnotations", w.Decision.Reason)
	}
}

// cluster is a fake API server with one target.
type cluster struct {
	*fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	lines   atomic.Pointer[[]string]
}

func newCluster(objects ...runtime.Object) *cluster {
	c := &cluster{Clientset: fake.NewClientset(
		apiDeployment("ns", "a", 1, asks(policy.RunningRequests)), apiNode("n1", list("pods", "110", gpu, "8")),
	)}
	c.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		hpas: "HorizontalPodAutoscalerList", scaledObjects: "ScaledObjectList",
	}, objects...)
	c.lines.Store(&[]string{})
	return c
}

// refuse has lists and watches of a resource answered with an error while it returns one.
func refuse(f *k8stesting.Fake, resource string, refusal func() error) {
	f.PrependReactor("list", resource, func(k8stesting.Action) (bool, runtime.Object, error) {
		err := refusal()
		return err != nil, nil, err
	})
}

func (c *cluster) controller(t *testing.T) *Controller {
	return controllerOn(t, c.Clientset, func(o *Options) {
		o.Dynamic = c.dynamic
		o.Logger = funcr.New(func(_, args string) {
			lines := append(slices.Clone(*c.lines.Load()), args)
			c.lines.Store(&lines)
		}, funcr.Options{})
	})
}

// told counts the log lines that contain a text.
func (c *cluster) told(text string) (n int) {
	for _, line := range *c.lines.Load() {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func noRight(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New("no right"))
}

// Without any of the rights that can be done without it starts and decides, and says once what is not known. A right that is granted
// later counts.
func TestWithoutARightItGoesOn(t *testing.T) {
	for _, missing := range []string{"nodes", "pods", "horizontalpodautoscalers", "scaledobjects"} {
		places := missing == "nodes" || missing == "pods"
		t.Run(missing, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rival := hpa("x", map[string]any{"kind": "Deployment", "name": "a"})
				if missing == "scaledobjects" {
					rival = scaledObject("x", map[string]any{"name": "a"})
				}
				c := newCluster(rival)
				c.Resources = []*metav1.APIResourceList{{GroupVersion: "autoscaling/v2"}, {GroupVersion: "keda.sh/v1alpha1"}}
				on, granted := &c.dynamic.Fake, atomic.Bool{}
				if places {
					on = &c.Fake
				}
				on.PrependReactor("list", missing, func(a k8stesting.Action) (bool, runtime.Object, error) {
					if granted.Load() || missing == "pods" && !ofNodes(a) {
						return false, nil, nil
					}
					return true, nil, noRight(missing)
				})
				scaler := c.controller(t)
				began := time.Now()
				if err := scaler.Sync(t.Context(), 10*time.Second); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v to see that a right is missing", took)
				}
				check := func(when string, known bool) {
					t.Helper()
					w := scaler.Tick(t.Context(), time.Now()).Find("ns", "a")
					if w == nil || w.Decision.Time.IsZero() {
						t.Fatalf("%s: no decision", when)
					}
					if w.FreeKnown != (known || !places) {
						t.Errorf("%s: free is known: %v", when, w.FreeKnown)
					}
					if (w.Rival != "") != (known || places) {
						t.Errorf("%s: rival %q", when, w.Rival)
					}
				}
				check("refused", false)
				time.Sleep(5 * optionalPause)
				if n := c.told("the right is missing"); n != 1 {
					t.Errorf("told %d times that the right is missing, want once: %q", n, *c.lines.Load())
				}
				granted.Store(true)
				time.Sleep(optionalPause + 5*time.Second)
				check("granted", true)
			})
		})
	}
}

// A cluster without KEDA is no fault: nothing is told. KEDA that is installed later is noticed, and when it is removed what it had is
// forgotten.
func TestKindThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(scaledObject("x", map[string]any{"name": "a"}))
		var absent atomic.Bool
		absent.Store(true)
		refuse(&c.dynamic.Fake, "scaledobjects", func() error {
			if !absent.Load() {
				return nil
			}
			return apierrors.NewNotFound(schema.GroupResource{Resource: "scaledobjects"}, "")
		})
		scaler := c.controller(t)
		if err := scaler.Sync(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		rival := func() string { return scaler.Tick(t.Context(), time.Now()).Find("ns", "a").Rival }
		if got := rival(); got != "" {
			t.Errorf("rival %q of a kind that is not there", got)
		}
		absent.Store(false)
		time.Sleep(optionalPause + 5*time.Second)
		if got := rival(); got != "ScaledObject ns/x" {
			t.Errorf("rival %q, want that the kind is noticed", got)
		}
		absent.Store(true)
		scaler.watches.besides[1].note(apierrors.NewNotFound(schema.GroupResource{Resource: "scaledobjects"}, ""))
		synctest.Wait()
		if got := rival(); got != "" {
			t.Errorf("rival %q of a kind that is gone", got)
		}
		time.Sleep(3 * optionalPause)
		if n := c.told("right is missing") + c.told("Watching fails"); n != 0 {
			t.Errorf("told %q, want nothing", *c.lines.Load())
		}
	})
}

// Where a missing kind is refused as forbidden, as the API server does for those without any right to it, nothing is told either.
func TestForbiddenKindThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.Resources = []*metav1.APIResourceList{{GroupVersion: "autoscaling/v2"}}
		refuse(&c.dynamic.Fake, "scaledobjects", func() error { return noRight("scaledobjects") })
		scaler := c.controller(t)
		if err := scaler.Sync(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * optionalPause)
		if n := c.told("right is missing"); n != 0 {
			t.Errorf("told %q, want nothing: there is no KEDA", *c.lines.Load())
		}
	})
}

// Without a target nothing is watched that can be done without.
func TestNothingBesidesIsWatchedWithoutATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		scaler := c.controller(t)
		if err := scaler.Sync(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !scaler.watches.places.known() {
			t.Fatal("places are not known with a target")
		}
		plain := apiDeployment("ns", "a", 1, nil)
		plain.ResourceVersion = "2"
		if _, err := c.AppsV1().Deployments("ns").Update(t.Context(), plain, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if scaler.watches.places.known() || scaler.watches.rivals[0].isSynced() {
			t.Error("nodes and autoscalers are still watched though there is no target")
		}
		again := apiDeployment("ns", "a", 1, asks(policy.RunningRequests))
		again.ResourceVersion, again.UID = "3", types.UID("again")
		if _, err := c.AppsV1().Deployments("ns").Update(t.Context(), again, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !scaler.watches.places.known() || !scaler.watches.rivals[0].isSynced() {
			t.Error("nodes and autoscalers are not watched again")
		}
	})
}
