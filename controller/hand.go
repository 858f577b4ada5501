package controller

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// The API server notes in metadata.managedFields which manager set which fields, and mostly when. A change takes a field from all other
// managers; an apply of the value that there is makes a further owner of it. Through the scale subresource it notes no time. A scale to 0
// leaves the field without an owner, and as long as it has none no scale is noted at all: neither after a scale to 0 nor where
// a server-side apply left the replicas out. Who scaled then can only be told by whoever saw it: see target.attribute.

// resetters are the field managers that write whole manifests without a server-side apply, which is told by its operation.
var resetters = []string{
	"kubectl-client-side-apply", "kubectl-replace", "kubectl-create", "helm", "argocd-controller", "argocd-application-controller",
	"kustomize-controller", "helm-controller", "fleetagent", "terraform",
}

// autoscalers are in the names of the managers that scale by themselves: the HPA's is kube-controller-manager. They are nobody's hands;
// that such a one scales the same Deployment is seen by its own object.
var autoscalers = []string{"controller-manager", "autoscaler", "keda"}

// handOf tells from the managedFields who has set spec.replicas last; nothing if nobody is noted. A stranger is a manager that may be a person's or not: it is taken
// for a person's unless it has set the pod template too, and adoptDeployment knows better where it saw the change.
func handOf(d *appsv1.Deployment) (hand policy.Hand, stranger bool) {
	var last *metav1.ManagedFieldsEntry
	var owned ownedFields
	for i := range d.ManagedFields {
		e := &d.ManagedFields[i]
		if e.Subresource == "status" {
			continue
		}
		if fields := ownedBy(e); fields.Spec.Replicas != nil && (last == nil || later(e, last)) {
			last, owned = e, fields
		}
	}
	if last == nil {
		return policy.Hand{}, false
	}
	hand = policy.Hand{Manager: last.Manager}
	if last.Time != nil {
		hand.Time = last.Time.Time
	}
	hand.By, stranger = handKind(last, last.Time != nil && !last.Time.After(d.CreationTimestamp.Time))
	if stranger && owned.Spec.Template != nil {
		hand.By = policy.ResettingHand
	}
	return hand, stranger
}

// later reports whether of two owners of a field e is the one who changed it last: the one who did not apply, as the other did after it
// and found the value there, and of two who applied the one whose time is later.
func later(e, than *metav1.ManagedFieldsEntry) bool {
	if e.Operation != than.Operation {
		return e.Operation != metav1.ManagedFieldsOperationApply
	}
	return than.Time.Before(e.Time)
}

// handKind tells whose hand an entry of managedFields is; created says that it is as old as the Deployment, or by the
// turn of a second older.
func handKind(e *metav1.ManagedFieldsEntry, created bool) (kind policy.HandKind, stranger bool) {
	manager, scales := strings.ToLower(e.Manager), e.Subresource == "scale"
	isAutoscaler := func(part string) bool { return strings.Contains(manager, part) }
	switch {
	case scales && e.Manager == fieldManager:
		return policy.OurHand, false
	case scales && slices.ContainsFunc(autoscalers, isAutoscaler):
		return policy.NoHand, false
	case scales, manager == "kubectl-edit", manager == "kubectl-patch":
		return policy.PersonsHand, false
	case created:
		return policy.CreatorsHand, false
	case e.Operation == metav1.ManagedFieldsOperationApply, slices.Contains(resetters, manager):
		return policy.ResettingHand, false
	}
	return policy.PersonsHand, true
}

// ownedFields are the fields of a Deployment that matter here; nil for one that is not owned.
type ownedFields struct {
	Spec struct {
		Replicas *json.RawMessage `json:"f:replicas"`
		Template *json.RawMessage `json:"f:template"`
	} `json:"f:spec"`
}

// ownedBy reads which fields an entry owns. What cannot be read owns nothing.
func ownedBy(e *metav1.ManagedFieldsEntry) ownedFields {
	var fields ownedFields
	if e.FieldsV1 == nil {
		return fields
	}
	raw := e.FieldsV1.GetRawBytes()
	if !bytes.Contains(raw, []byte(`"f:replicas"`)) {
		return fields
	}
	if json.Unmarshal(raw, &fields) != nil {
		return ownedFields{}
	}
	return fields
}

// seed makes digests that can be compared within this process.
var seed = maphash.MakeSeed()

// digest makes a number of a pod template by which a change of it can be noticed. 0 means that it cannot.
func digest(template *corev1.PodTemplateSpec) uint64 {
	text, err := template.Marshal()
	if err != nil {
		return 0
	}
	return maphash.Bytes(seed, text)
}

// adoptDeployment finishes a Deployment before it is stored: what the change from the old one shows of whose hand it was.
func adoptDeployment(fresh, old, _ *deployment) {
	if old == nil || old.uid != fresh.uid {
		return
	}
	if fresh.replicas == old.replicas {
		// Whoever is noted has changed something else by now, or applied the number that there was.
		fresh.hand, fresh.stranger = old.hand, old.stranger
		return
	}
	if fresh.hand.Manager != "" && fresh.hand.Time.IsZero() {
		fresh.hand.Time = time.Now() // scaled: no time is noted, but this is it
	}
	if fresh.stranger {
		fresh.hand.By = policy.PersonsHand
		if fresh.template != old.template {
			fresh.hand.By = policy.ResettingHand
		}
	}
}
