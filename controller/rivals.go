package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/policy"
)

// rivalKinds are the other autoscalers that are looked for. Each has spec.scaleTargetRef, whose kind is a Deployment unless it
// says otherwise.
var rivalKinds = []schema.GroupVersionResource{
	{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"},
	{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"},
}

// rival is another autoscaler that scales a Deployment.
type rival struct {
	meta
	kind       string
	deployment string // its name: the namespace is the rival's
	// uid is its own and maker that of what made it, as KEDA makes a HorizontalPodAutoscaler of each ScaledObject.
	uid, maker types.UID
}

// newRival returns what is kept of an autoscaler; keep is false if it scales no Deployment.
func newRival(api runtime.Object) (r *rival, keep bool) {
	from, ok := api.(*unstructured.Unstructured)
	if !ok {
		return nil, false
	}
	r = &rival{meta: metaOf(from), kind: from.GetKind(), uid: from.GetUID()}
	if owner := metav1.GetControllerOfNoCopy(from); owner != nil {
		r.maker = owner.UID
	}
	ref, _, _ := unstructured.NestedStringMap(from.Object, "spec", "scaleTargetRef")
	group, _, _ := strings.Cut(ref["apiVersion"], "/")
	r.deployment = ref["name"]
	return r, r.deployment != "" && cmp.Or(ref["kind"], "Deployment") == "Deployment" && cmp.Or(group, "apps") == "apps"
}

func (r *rival) owner() types.UID { return "" }

// DeepCopyObject copies what can be changed: nothing.
func (r *rival) DeepCopyObject() runtime.Object { c := *r; return &c }

// String names it for people.
func (r *rival) String() string { return fmt.Sprintf("%s %s", r.kind, r.key()) }

// watchRivals watches one kind of autoscaler in a namespace, or with "" in all.
func watchRivals(client kubernetes.Interface, dynamic dynamic.Interface, kind schema.GroupVersionResource, ns string, into *store[*rival]) *optional {
	from := &narrowed[*rival, *unstructured.UnstructuredList]{client: dynamic.Resource(kind).Namespace(ns), clientset: dynamic, convert: newRival}
	o := optionally(place(kind.GroupResource().String(), ns), "Deployments that they scale too are not recognised", from, into)
	o.exists = func() bool {
		_, err := client.Discovery().ServerResourcesForGroupVersion(kind.GroupVersion().String())
		return !apierrors.IsNotFound(err)
	}
	return o
}

// rivalsOf returns the names of the other autoscalers by the Deployment that they scale.
func rivalsOf(stores []*store[*rival]) map[key]string {
	var all []*rival
	for _, s := range stores {
		all = s.all(all)
	}
	return namesOf(all)
}

// namesOf returns the names of autoscalers by the Deployment that they scale. It sorts the list.
func namesOf(all []*rival) map[key]string {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b *rival) int { return cmp.Compare(a.String(), b.String()) })
	uids := make(map[types.UID]bool, len(all))
	for _, r := range all {
		uids[r.uid] = true
	}
	names := make(map[key]string, len(all))
	for _, r := range all {
		if r.maker != "" && uids[r.maker] {
			continue // its maker is named
		}
		at := key{r.namespace, r.deployment}
		if names[at] != "" {
			names[at] += " and "
		}
		names[at] += r.String()
	}
	return names
}

// meet adds the target's rivals to what is seen. Where nothing is written anyway they stand in nobody's way.
func (p *pass) meet(t *target, seen *policy.Observation) {
	t.rival = p.rivals[t.seen.key()]
	seen.Rival = t.rival
	if t.rival != "" && seen.Hand == (policy.Hand{By: policy.PersonsHand}) {
		seen.Hand = policy.Hand{} // nobody is noted: it was the other one rather than a person
	}
	if t.rival == "" || p.c.options.DryRun || t.spec.DryRun {
		return
	}
	t.heldBefore.add(policy.Conflict)
	if seen.Frozen == "" {
		seen.Frozen = policy.Conflict
	}
}

// tellRival logs another autoscaler when it comes, whether or not anything is to be changed, and when it is gone.
func (c *Controller) tellRival(t *target) {
	if t.rival == t.told.rival {
		return
	}
	t.told.rival = t.rival
	if t.rival == "" {
		c.log.Info("No other autoscaler scales the Deployment any more", "namespace", t.seen.namespace, "name", t.seen.name)
		return
	}
	c.log.Info("Another autoscaler scales the Deployment too", "namespace", t.seen.namespace, "name", t.seen.name, "rival", t.rival)
}
