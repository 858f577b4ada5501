package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// everyVerb are the verbs that RBAC knows, and one for all.
var everyVerb = []string{
	"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
	"bind", "escalate", "impersonate", "approve", "sign", "use", "*",
}

// What an account may do, as in "patch deployments/scale.apps", by overlay, with components, and namespace.
var (
	// everyone, that is every service account, may ask who it is and what it may, and read the cluster's certificate authorities.
	everyone = []string{
		"get clustertrustbundles.certificates.k8s.io", "list clustertrustbundles.certificates.k8s.io", "watch clustertrustbundles.certificates.k8s.io",
		"create selfsubjectaccessreviews.authorization.k8s.io", "create selfsubjectreviews.authentication.k8s.io",
		"create selfsubjectrulesreviews.authorization.k8s.io",
	}
	workloads = []string{
		"list deployments.apps", "watch deployments.apps", "list replicasets.apps", "watch replicasets.apps", "list pods", "watch pods",
		"list horizontalpodautoscalers.autoscaling", "watch horizontalpodautoscalers.autoscaling",
		"patch deployments/scale.apps", "create events",
	}
	clusterWide = slices.Concat(workloads, []string{"list namespaces", "watch namespaces", "list nodes", "watch nodes", "list services"})
	own         = []string{"create leases.coordination.k8s.io", "create configmaps", "list pods", "watch pods"}
	leastBusy   = []string{"get pods", "patch pods"}
	reviews     = []string{"create tokenreviews.authentication.k8s.io", "create subjectaccessreviews.authorization.k8s.io"}

	rights = map[string]map[string][]string{
		"cluster-wide": {
			"prod": clusterWide, metav1.NamespaceSystem: clusterWide, system: slices.Concat(clusterWide, own),
		},
		"scale-down-order": {
			"prod": slices.Concat(clusterWide, leastBusy), system: slices.Concat(clusterWide, own, leastBusy),
		},
		"cluster-wide secure-metrics": {
			"prod": slices.Concat(clusterWide, reviews), system: slices.Concat(clusterWide, own, reviews),
		},
		"single-namespace": {
			"prod": nil, metav1.NamespaceSystem: nil, "default": slices.Concat(workloads, own),
		},
	}
)

// Of all that the API server offers, the account may do what is listed above and nothing else: no secrets, no other writes.
func TestRightsAreTheLeast(t *testing.T) {
	for name, namespaces := range rights {
		t.Run(name, func(t *testing.T) {
			home := system
			if name == "single-namespace" {
				home = "default"
			}
			parts := strings.Fields(name)
			install(t, compose(t, home, parts[0], parts[1:]))
			client := as(t, home, account)
			for namespace, want := range namespaces {
				want = slices.Compact(slices.Sorted(slices.Values(slices.Concat(want, everyone))))
				// The API server learns of roles a moment after they were made.
				bed.WaitFor(t, 30*time.Second, "the rights in "+namespace, func() error {
					got := granted(t, client, namespace)
					more := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return slices.Contains(want, s) })
					less := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
					return bed.Want("rights too many and too few", fmt.Sprint(more, less), "[] []")
				})
			}
		})
	}
}

// Lease and ConfigMaps are the account's by their names, and only in its own namespace.
func TestRightsToNamedObjects(t *testing.T) {
	install(t, overlay(t, "cluster-wide"))
	client := as(t, system, account)
	for _, c := range []struct {
		namespace, verb, resource, name string
		allowed                         bool
	}{
		{system, "get", "leases.coordination.k8s.io", "gpuscaler", true},
		{system, "update", "leases.coordination.k8s.io", "gpuscaler", true},
		{system, "delete", "leases.coordination.k8s.io", "gpuscaler", false},
		{system, "update", "leases.coordination.k8s.io", "another", false},
		{metav1.NamespaceSystem, "update", "leases.coordination.k8s.io", "gpuscaler", false},
		{system, "get", "configmaps", "gpuscaler-checkpoint-0", true},
		{system, "update", "configmaps", "gpuscaler-checkpoint-15", true},
		{system, "update", "configmaps", "gpuscaler-checkpoint-16", false},
		{system, "get", "configmaps", "kube-root-ca.crt", false},
		{metav1.NamespaceSystem, "update", "configmaps", "gpuscaler-checkpoint-0", false},
		{"prod", "watch", "scaledobjects.keda.sh", "", true},
		{"prod", "patch", "scaledobjects.keda.sh", "", false},
	} {
		bed.WaitFor(t, 10*time.Second, fmt.Sprint(c), func() error {
			return bed.Want("allowed", may(t, client, c.namespace, c.verb, c.resource, c.name), c.allowed)
		})
	}
}

// Where it looks at single namespaces alone, the controller may still find the agents in theirs.
func TestAgentsAreFound(t *testing.T) {
	all := helm(t, "default", `{watch: {namespaces: [default]}, prometheus: {url: ""}, nvmlAgent: {enabled: true}}`)
	install(t, all)
	if args := container(t, all).Args; !slices.Contains(args, "--nvml-agent-namespace="+agents) {
		t.Errorf("the program is told %q", args)
	}
	client := as(t, "default", account)
	for _, c := range []struct {
		namespace, verb, resource string
		allowed                   bool
	}{
		{agents, "list", "pods", true},
		{agents, "watch", "pods", true},
		{agents, "create", "pods", false},
		{agents, "list", "deployments.apps", false},
		{metav1.NamespaceSystem, "list", "pods", false},
	} {
		bed.WaitFor(t, 10*time.Second, fmt.Sprint(c), func() error {
			return bed.Want("allowed", may(t, client, c.namespace, c.verb, c.resource, ""), c.allowed)
		})
	}
}

// The agents may do nothing.
func TestAgentsHaveNoRights(t *testing.T) {
	install(t, overlay(t, "nvml-agent"))
	got := granted(t, as(t, agents, agents), agents)
	if want := slices.Sorted(slices.Values(everyone)); !slices.Equal(got, want) {
		t.Errorf("the agents may %q, want %q", got, want)
	}
}

// as returns a client of an account.
func as(t *testing.T, namespace, account string) kubernetes.Interface {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	config, err := control(t).ServiceAccountConfig(ctx, namespace, account)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// granted asks about every verb on every resource that the API server has, and returns what is allowed, sorted.
func granted(t *testing.T, client kubernetes.Interface, namespace string) []string {
	t.Helper()
	_, lists, err := control(t).Client().Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{"*.*": true}
	for _, list := range lists {
		group, _, ok := strings.Cut(list.GroupVersion, "/")
		if !ok {
			group = ""
		}
		for _, r := range list.APIResources {
			asked[strings.TrimSuffix(r.Name+"."+group, ".")] = true
		}
	}
	if len(asked) < 80 {
		t.Fatalf("only %d resources found", len(asked))
	}
	var allowed []string
	for resource := range asked {
		for _, verb := range everyVerb {
			if may(t, client, namespace, verb, resource, "") {
				allowed = append(allowed, verb+" "+resource)
			}
		}
	}
	slices.Sort(allowed)
	return allowed
}

// may asks whether a client may do something to a resource, written as kubectl does: resource/subresource.group.
func may(t *testing.T, client kubernetes.Interface, namespace, verb, resource, name string) bool {
	t.Helper()
	resource, group, _ := strings.Cut(resource, ".")
	resource, subresource, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: group, Resource: resource, Subresource: subresource, Name: name,
		},
	}}
	answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}
