package main

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/importer"
)

// The resources that can be imported.
const (
	hpas          = "horizontalpodautoscalers"
	scaledObjects = "scaledobjects"
)

var importVersions = map[string]schema.GroupVersion{
	hpas:          {Group: "autoscaling", Version: "v2"},
	scaledObjects: {Group: "keda.sh", Version: "v1alpha1"},
}

// fromCluster translates an object of the cluster.
func (o *importOptions) fromCluster(ctx context.Context, g *globals) ([]importer.Import, error) {
	c, err := g.cluster()
	if err != nil {
		return nil, err
	}
	// A list of one, because other autoscalers may be listed by whom deploy/rbac/viewer makes a viewer, but not got.
	list, err := c.dynamic.Resource(importVersions[o.kind].WithResource(o.kind)).Namespace(c.namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", o.name).String(),
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there are no %s in %s: KEDA is not installed there", o.kind, c.describe())
	case err != nil:
		return nil, clusterError(err, c)
	case len(list.Items) == 0:
		return nil, fmt.Errorf("there is no %s in namespace %s: -n NAMESPACE looks in another", o.object(), c.namespace)
	}
	text, err := json.Marshal(list.Items[0].Object)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.object(), err)
	}
	translator := importer.Importer{Namespace: c.namespace}
	done, err := translator.Object(text)
	if err != nil {
		return nil, fmt.Errorf("importing: %w", err)
	}
	if done.Deployment == "" {
		return []importer.Import{done}, nil
	}
	_, err = c.client.AppsV1().Deployments(c.namespace).Get(ctx, done.Deployment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s scales the Deployment %q, which is not there", &done, done.Deployment)
	}
	return []importer.Import{done}, clusterError(err, c)
}

// object names what is to be imported as the argument did.
func (o *importOptions) object() string {
	return map[string]string{hpas: "hpa/", scaledObjects: "scaledobject/"}[o.kind] + o.name
}
