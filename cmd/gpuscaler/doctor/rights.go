package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// need is what is needed of one resource, in a namespace, or with "" in all or outside of any.
type need struct {
	group, resource, subresource, namespace string
	// names limit it to objects.
	names []string
	verbs []string
	loses string

	write, vital bool
}

// checkpointShards are how many ConfigMaps the controller keeps its checkpoint in.
const checkpointShards = 16

// needs lists what deploy/rbac grants, as far as it is needed for what is looked at.
func needs(o *Options, workloads []WorkloadFacts) []need {
	list := []need{}
	for _, ns := range scopes(o) {
		list = append(list, readNeeds(ns)...)
		list = append(list,
			need{group: "apps", resource: "deployments", subresource: "scale", namespace: ns, verbs: []string{"patch"}, loses: "nothing can be scaled", write: true, vital: true},
			need{resource: "events", namespace: ns, verbs: []string{"create"}, loses: "no Events are written", write: true})
		if slices.ContainsFunc(workloads, func(w WorkloadFacts) bool { return w.Spec != nil && w.Spec.LeastBusy }) {
			list = append(list, need{resource: "pods", namespace: ns, verbs: []string{"patch"}, loses: "scale-down.order: least-busy orders nothing (deploy/rbac/least-busy grants it)", write: true})
		}
	}
	list = append(list, need{resource: "nodes", verbs: []string{"list", "watch"}, loses: "how many more pods fit is not known"})
	if len(o.Namespaces) > 0 {
		list = append(list,
			need{resource: "pods", verbs: []string{"list", "watch"}, loses: "how many more pods fit is not known"},
			need{resource: "pods", namespace: o.AgentNamespace, verbs: []string{"list", "watch"}, loses: "NVML agents are not found"})
	}
	if o.Auto {
		list = append(list, need{resource: "services", verbs: []string{"list"}, loses: "--prometheus-url auto cannot look for Prometheus"})
	}
	if o.Auto || o.Proxied {
		list = append(list, need{resource: "services", subresource: "proxy", namespace: o.ProxyNamespace, verbs: []string{"get"}, loses: "Prometheus cannot be asked through the API server"})
	}
	return append(list, ownNeeds(o.LeaseNamespace)...)
}

// readNeeds are those in a namespace that is looked at.
func readNeeds(ns string) []need {
	return []need{
		{group: "apps", resource: "deployments", namespace: ns, verbs: []string{"list", "watch"}, loses: "nothing can be looked at", vital: true},
		{group: "apps", resource: "replicasets", namespace: ns, verbs: []string{"list", "watch"}, loses: "which pods are a Deployment's is not known", vital: true},
		{resource: "pods", namespace: ns, verbs: []string{"list", "watch"}, loses: "which pods are ready is not known", vital: true},
		{group: "autoscaling", resource: "horizontalpodautoscalers", namespace: ns, verbs: []string{"list", "watch"}, loses: "an HPA on the same Deployment is not seen"},
		{group: "keda.sh", resource: "scaledobjects", namespace: ns, verbs: []string{"list", "watch"}, loses: "a ScaledObject on the same Deployment is not seen"},
	}
}

// ownNeeds are those in the controller's own namespace.
func ownNeeds(ns string) []need {
	var shards []string
	for n := range checkpointShards {
		shards = append(shards, fmt.Sprintf("gpuscaler-checkpoint-%d", n))
	}
	return []need{
		{group: "coordination.k8s.io", resource: "leases", namespace: ns, verbs: []string{"create"}, loses: "no leader can be elected", write: true, vital: true},
		{group: "coordination.k8s.io", resource: "leases", namespace: ns, names: []string{"gpuscaler"}, verbs: []string{"get", "update"}, loses: "no leader can be elected", write: true, vital: true},
		{resource: "configmaps", namespace: ns, verbs: []string{"create"}, loses: "a new leader cannot go on where the old one stopped", write: true},
		{resource: "configmaps", namespace: ns, names: shards, verbs: []string{"get", "update"}, loses: "a new leader cannot go on where the old one stopped", write: true},
	}
}

// scopes are the namespaces that are looked at, "" for all.
func scopes(o *Options) []string {
	if len(o.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return o.Namespaces
}

// askRights asks the API server about all of them.
func askRights(ctx context.Context, o *Options, list []need) ([]Right, error) {
	rights, failures := make([]Right, len(list)), make([]error, len(list))
	few(len(list), 8, func(i int) {
		n := &list[i]
		refused, err := n.refused(ctx, o)
		failures[i] = err
		rights[i] = Right{What: n.told(refused), Loses: n.loses, Write: n.write, Vital: n.vital, Allowed: len(refused) == 0}
	})
	return rights, errors.Join(failures...)
}

// refused returns the verbs that are not allowed.
func (n *need) refused(ctx context.Context, o *Options) ([]string, error) {
	names := n.names
	if len(names) == 0 {
		names = []string{""}
	}
	var verbs []string
	for _, verb := range n.verbs {
		for _, name := range names {
			review, err := o.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: n.namespace, Verb: verb, Group: n.group, Resource: n.resource, Subresource: n.subresource, Name: name,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				return nil, err
			}
			if !review.Status.Allowed && !slices.Contains(verbs, verb) {
				verbs = append(verbs, verb)
			}
		}
	}
	return verbs, nil
}

// told says in kubectl's words what is needed, or what of it is refused.
func (n *need) told(refused []string) string {
	verbs := n.verbs
	if len(refused) > 0 {
		verbs = refused
	}
	text := strings.Join(verbs, "/") + " " + n.resource
	if n.subresource != "" {
		text += "/" + n.subresource
	}
	switch len(n.names) {
	case 0:
	case 1:
		text += " " + n.names[0]
	default:
		text += " " + n.names[0] + " to " + n.names[len(n.names)-1]
	}
	if n.namespace != "" {
		text += " in namespace " + n.namespace
	}
	return text
}
