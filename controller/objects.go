package controller

import (
	"strconv"
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// meta is what a reflector needs to know of an object.
type meta struct{ namespace, name, version string }

// metaOf takes it from an API object.
func metaOf(o metav1.Object) meta {
	return meta{namespace: o.GetNamespace(), name: o.GetName(), version: o.GetResourceVersion()}
}

func (m *meta) key() key { return key{m.namespace, m.name} }

// GetObjectMeta makes the metadata that client-go asks for while it handles an event. Keeping it would cost more than all else.
func (m *meta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.namespace, Name: m.name, ResourceVersion: m.version}
}

// GetObjectKind is empty: these objects are never encoded.
func (m *meta) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// deployment is a Deployment that opted in.
type deployment struct {
	meta
	uid      types.UID
	replicas int
	// annotations are ours alone.
	annotations map[string]string
	placing
	// refusal says why pods are not even created, empty if they are.
	refusal string
	// hand is who has set replicas last. If it is a stranger's, template tells what it means: it is a digest of the pod template.
	hand     policy.Hand
	stranger bool
	template uint64
}

// newDeployment returns what is kept of a Deployment; keep is false if it did not opt in.
func newDeployment(api runtime.Object) (d *deployment, keep bool) {
	from, ok := api.(*appsv1.Deployment)
	if !ok {
		return nil, false
	}
	d = &deployment{meta: metaOf(from), uid: from.UID, replicas: 1}
	if from.Spec.Replicas != nil {
		d.replicas = int(*from.Spec.Replicas)
	}
	if from.DeletionTimestamp != nil || !policy.OptedIn(from.Annotations) {
		return d, false
	}
	d.annotations = make(map[string]string)
	for k, v := range policy.Ours(from.Annotations) {
		d.annotations[shared(k)] = shared(v)
	}
	d.placing = newPlacing(from)
	d.refusal = refusalOf(from.Status.Conditions)
	d.hand, d.stranger = handOf(from)
	d.template = digest(&from.Spec.Template)
	return d, true
}

// shared returns a string that all who have an equal one share.
func shared(s string) string { return unique.Make(s).Value() }

func (d *deployment) owner() types.UID { return "" }

// DeepCopyObject copies what can be changed: nothing.
func (d *deployment) DeepCopyObject() runtime.Object { c := *d; return &c }

// replicaSet is a ReplicaSet of a Deployment: the link between the Deployment and its pods.
type replicaSet struct {
	meta
	uid, deployment types.UID
	// revision grows with each template that the Deployment is given, also with one that it had before; 0 if not known.
	revision int64
}

// newReplicaSet returns what is kept of a ReplicaSet; keep is false if it is no Deployment's.
func newReplicaSet(api runtime.Object) (r *replicaSet, keep bool) {
	from, ok := api.(*appsv1.ReplicaSet)
	if !ok {
		return nil, false
	}
	r = &replicaSet{meta: metaOf(from), uid: from.UID, deployment: controllerOf(from, "Deployment")}
	r.revision, _ = strconv.ParseInt(from.Annotations["deployment.kubernetes.io/revision"], 10, 64)
	return r, r.deployment != "" && from.DeletionTimestamp == nil
}

func (r *replicaSet) owner() types.UID { return r.deployment }

// DeepCopyObject copies what can be changed: nothing.
func (r *replicaSet) DeepCopyObject() runtime.Object { c := *r; return &c }

// controllerOf returns the UID of the controlling object of an apps kind, empty if there is none.
func controllerOf(o metav1.Object, kind string) types.UID {
	ref := metav1.GetControllerOfNoCopy(o)
	if ref == nil || ref.Kind != kind || !strings.HasPrefix(ref.APIVersion, "apps/") {
		return ""
	}
	return ref.UID
}

// namespace is a namespace that the selector matches.
type namespace struct{ meta }

// newNamespace returns what is kept of a namespace. The API server has applied the selector already.
func newNamespace(api runtime.Object) (n *namespace, keep bool) {
	from, ok := api.(*corev1.Namespace)
	if !ok {
		return nil, false
	}
	return &namespace{metaOf(from)}, true
}

func (n *namespace) owner() types.UID { return "" }

// DeepCopyObject copies what can be changed: nothing.
func (n *namespace) DeepCopyObject() runtime.Object { c := *n; return &c }
