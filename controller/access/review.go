package access

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reviewToken asks the API server whose token it is. It is to be one for the API server itself, as Prometheus' is by default.
func (g *Guard) reviewToken(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review, err := g.client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return nil, unasked("tokenreviews.authentication.k8s.io", err)
	}
	if !review.Status.Authenticated || review.Status.User.Username == "" {
		g.log.V(1).Info("A bearer token was refused", "problem", review.Status.Error)
		return nil, nil
	}
	return &review.Status.User, nil
}

// reviewAccess asks the API server whether a user may do it.
func (g *Guard) reviewAccess(ctx context.Context, what attributes, user *authenticationv1.UserInfo) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := g.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: what.verb, Path: what.path},
			User:                  user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, unasked("subjectaccessreviews.authorization.k8s.io", err)
	}
	allowed := review.Status.Allowed && !review.Status.Denied
	if !allowed {
		g.log.Info("A request was forbidden", "user", user.Username, "verb", what.verb, "path", what.path, "reason", review.Status.Reason)
	}
	return allowed, nil
}

// unasked says that a review was not made, and what to do if a right is missing for it.
func unasked(resource string, err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("the controller may not create %s, which deploy/rbac/secure-metrics grants: %w", resource, err)
	}
	return fmt.Errorf("creating %s: %w", resource, err)
}
