package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Grant gives a user the rights in a namespace by a Role of its own, and waits until they act: the API server learns of
// it a moment later.
func (b *Bed) Grant(ctx context.Context, namespace, user string, rules ...rbacv1.PolicyRule) error {
	rbac := b.client.RbacV1()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{GenerateName: "granted-"}, Rules: rules}
	role, err := rbac.Roles(namespace).Create(ctx, role, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("granting rights to %s: %w", user, err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := rbac.RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("granting rights to %s: %w", user, err)
	}
	for _, rule := range rules {
		if len(rule.APIGroups) == 0 || len(rule.Resources) == 0 || len(rule.Verbs) == 0 {
			continue
		}
		if err := b.WaitAllowed(ctx, user, nil, attributesOf(namespace, rule)); err != nil {
			return err
		}
	}
	return nil
}

// attributesOf returns a request that a rule allows.
func attributesOf(namespace string, rule rbacv1.PolicyRule) authorizationv1.ResourceAttributes {
	resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
	a := authorizationv1.ResourceAttributes{
		Namespace: namespace, Group: rule.APIGroups[0], Resource: resource, Subresource: subresource,
		Verb: rule.Verbs[0],
	}
	if len(rule.ResourceNames) > 0 {
		a.Name = rule.ResourceNames[0]
	}
	return a
}

// WaitAllowed waits until the API server would allow a user in the groups such a request.
func (b *Bed) WaitAllowed(ctx context.Context, user string, groups []string, a authorizationv1.ResourceAttributes) error {
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &a},
	}
	err := Until(ctx, func() (bool, error) {
		answer, err := b.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return answer.Status.Allowed, nil
	})
	if err != nil {
		return fmt.Errorf("waiting until %s may %s %s: %w", user, a.Verb, a.Resource, err)
	}
	return nil
}

// Apply applies YAML manifests, one or several, as the administrator, by server-side apply.
func (b *Bed) Apply(ctx context.Context, manifests []byte) error {
	client, err := dynamic.NewForConfig(b.admin)
	if err != nil {
		return fmt.Errorf("applying manifests: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(b.client.Discovery()))
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading manifests: %w", err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := apply(ctx, client, mapper, object); err != nil {
			return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

func apply(ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	resources := client.Resource(mapping.Resource)
	options := metav1.ApplyOptions{FieldManager: "bed", Force: true}
	if namespace := object.GetNamespace(); namespace != "" {
		_, err = resources.Namespace(namespace).Apply(ctx, object.GetName(), object, options)
	} else {
		_, err = resources.Apply(ctx, object.GetName(), object, options)
	}
	return err
}
