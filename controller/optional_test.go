package controller

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// client-go pauses between two errors by the time of the last one, which may be of a clock that a test has made up.
func init() { utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1] }

var hpas, scaledObjects = rivalKinds[0], rivalKinds[1]

// cluster is a fake API server with one target.
type cluster struct {
	*fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient

	mu    sync.Mutex
	lines []string // of the log
}

func newCluster(objects ...runtime.Object) *cluster {
	c := &cluster{Clientset: fake.NewClientset(
		apiDeployment("ns", "a", 1, asks(policy.RunningRequests)), apiNode("n1", list("pods", "110", gpu, "8")),
	)}
	c.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		hpas: "HorizontalPodAutoscalerList", scaledObjects: "ScaledObjectList",
	}, objects...)
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
		o.Logger = c.logger()
	})
}

// logger collects the log.
func (c *cluster) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lines = append(c.lines, args)
	}, funcr.Options{})
}

// told counts the log lines that contain a text.
func (c *cluster) told(text string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.lines {
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
					w.wantKnown(t, when, known || !places, known || places)
				}
				check("refused", false)
				time.Sleep(5 * optionalPause)
				if n := c.told("the right is missing"); n != 1 {
					t.Errorf("told %d times that the right is missing, want once: %q", n, c.lines)
				}
				granted.Store(true)
				time.Sleep(optionalPause + 5*time.Second)
				check("granted", true)
			})
		})
	}
}

// wantKnown wants a decision, and that the places and the rival are known or not.
func (w *Workload) wantKnown(t *testing.T, when string, free, rival bool) {
	t.Helper()
	if w == nil || w.Decision.Time.IsZero() {
		t.Fatalf("%s: no decision", when)
	}
	if w.FreeKnown != free {
		t.Errorf("%s: free is known: %v", when, w.FreeKnown)
	}
	if (w.Rival != "") != rival {
		t.Errorf("%s: rival %q", when, w.Rival)
	}
}

// The first tick waits for other autoscalers to be listed, even if that fails at first: a decision without them could be a wrong one.
func TestFirstTickKnowsRivals(t *testing.T) {
	for name, run := range map[string]func(*testing.T, *Controller){
		"Sync": func(t *testing.T, c *Controller) {
			if err := c.Sync(t.Context(), 10*time.Second); err != nil {
				t.Fatal(err)
			}
			c.Tick(t.Context(), time.Now())
		},
		"Run": func(t *testing.T, c *Controller) {
			go func() { _ = c.Run(t.Context()) }()
			time.Sleep(4 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(hpa("x", map[string]any{"kind": "Deployment", "name": "a"}))
				var listed atomic.Int32
				c.dynamic.PrependReactor("list", "horizontalpodautoscalers", func(k8stesting.Action) (bool, runtime.Object, error) {
					return listed.Add(1) == 1, nil, apierrors.NewInternalError(errors.New("starting"))
				})
				scaler := c.controller(t)
				run(t, scaler)
				w := scaler.Snapshot().Find("ns", "a")
				if w == nil || w.Rival == "" || !w.FreeKnown {
					t.Errorf("got %+v, want the rival and what is free known in the first tick", w)
				}
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
			t.Errorf("told %q, want nothing", c.lines)
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
			t.Errorf("told %q, want nothing: there is no KEDA", c.lines)
		}
	})
}

// Where no target's template can be judged the nodes are of no use.
func TestNodesAreWatchedOnlyIfOfUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		other := apiDeployment("ns", "a", 1, asks(policy.RunningRequests))
		other.Spec.Template.Spec.SchedulerName = "volcano"
		if _, err := c.AppsV1().Deployments("ns").Update(t.Context(), other, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		scaler := c.controller(t)
		if err := scaler.Sync(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if scaler.watches.places.nodes.isSynced() || scaler.watches.places.bookings.isSynced() {
			t.Error("nodes or pods on them are watched for nothing")
		}
		if !scaler.watches.rivals[0].isSynced() {
			t.Error("other autoscalers are not watched")
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
