package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// fieldManager is the name under which the API server records our changes.
const fieldManager = "gpuscaler"

// change is one change of replicas that was decided.
type change struct {
	namespace, name string
	uid             types.UID
	from, to        int
}

// written is what the API server made of a change.
type written struct {
	// replicas is spec.replicas now: an admission webhook may have changed it once more.
	replicas int
	// version is the Deployment's resourceVersion after the change.
	version string
}

// scaler is the one way in which anything is scaled.
type scaler interface {
	// Scale makes the change if the Deployment is still the same one and still has the replicas it is to be changed from.
	// It tries once.
	Scale(ctx context.Context, c change) (written, error)
}

// patcher writes the scale subresource of Deployments.
type patcher struct {
	apps rest.Interface
}

// operation is one of a JSON Patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patchFor makes the patch that compares and sets: it fails if the Deployment was created anew or its replicas were
// changed since. Other changes of the Deployment do not disturb it, as a comparison of resourceVersions would be by
// every update of the status.
func patchFor(c change) ([]byte, error) {
	var from any // null: at 0 replicas the member is absent, which equals null and not 0
	if c.from != 0 {
		from = c.from
	}
	return json.Marshal([]operation{
		{"test", "/metadata/uid", c.uid},
		{"test", "/spec/replicas", from},
		{"add", "/spec/replicas", c.to},
	})
}

// Scale sends the patch. Nothing is tried again, here or in client-go: the next tick decides anew.
func (p *patcher) Scale(ctx context.Context, c change) (written, error) {
	body, err := patchFor(c)
	if err != nil {
		return written{}, fmt.Errorf("encoding the patch of %s/%s: %w", c.namespace, c.name, err)
	}
	var scale autoscalingv1.Scale
	err = p.apps.Patch(types.JSONPatchType).
		Namespace(c.namespace).Resource("deployments").Name(c.name).SubResource("scale").
		VersionedParams(&metav1.PatchOptions{FieldManager: fieldManager}, scheme.ParameterCodec).
		MaxRetries(0).Body(body).
		Do(ctx).Into(&scale)
	if err != nil {
		return written{}, fmt.Errorf("scaling %s/%s from %d to %d: %w", c.namespace, c.name, c.from, c.to, err)
	}
	return written{replicas: int(scale.Spec.Replicas), version: scale.ResourceVersion}, nil
}

// errDryRun says that a change was not made because nothing is to be written.
var errDryRun = errors.New("dry run: nothing is written")

// dryRun stands in for a scaler and never writes.
type dryRun struct{ log logr.Logger }

// Scale logs what would have been done.
func (d dryRun) Scale(_ context.Context, c change) (written, error) {
	d.log.V(1).Info("Would scale", "namespace", c.namespace, "name", c.name, "from", c.from, "to", c.to)
	return written{}, errDryRun
}
