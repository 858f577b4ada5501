package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// workloads makes facts of the Deployments, by namespace and name.
func (f *objects) workloads(o *Options) []WorkloadFacts {
	rivals := controller.Rivals(f.rivals)
	pods := map[types.UID][]podFacts{}
	for _, p := range f.pods {
		if of, known := f.owners[p.replicaSet]; known {
			pods[of] = append(pods[of], p)
		}
	}
	slices.SortFunc(f.deployments, func(a, b *appsv1.Deployment) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	list := make([]WorkloadFacts, len(f.deployments))
	f.living = make(map[types.NamespacedName][]podFacts, len(f.deployments))
	for i, d := range f.deployments {
		w := workloadOf(d, o.Settings)
		w.Rival = rivals[w.NamespacedName]
		f.living[w.NamespacedName] = pods[d.UID]
		w.PodsKnown = f.podsKnown
		for _, p := range pods[d.UID] {
			w.count(p)
		}
		w.Unknown = "nodes or pods could not be read"
		if f.room != nil && f.podsKnown {
			w.Free, w.Unknown = f.room.For(d)
		}
		f.limit(&w, d)
		if w.Spec != nil && w.OptedIn {
			for _, s := range w.Spec.Signals() {
				w.Readings = append(w.Readings, ReadingFacts{Signal: s, Custom: w.Spec.Queries[s]})
			}
		}
		list[i] = w
	}
	return list
}

// count counts a pod.
func (w *WorkloadFacts) count(p podFacts) {
	w.Pods++
	if p.ready {
		w.Ready++
	}
	if p.placed {
		w.Placed++
	}
}

// workloadOf takes what the Deployment itself tells.
func workloadOf(d *appsv1.Deployment, settings policy.Settings) WorkloadFacts {
	w := WorkloadFacts{
		NamespacedName: types.NamespacedName{Namespace: d.Namespace, Name: d.Name},
		OptedIn:        policy.OptedIn(d.Annotations), Replicas: 1, GPURequests: map[string]int64{},
	}
	if d.Spec.Replicas != nil {
		w.Replicas = int(*d.Spec.Replicas)
	}
	w.Refused = d.Annotations[policy.Prefix+"enabled"] == "false"
	if policy.Annotated(d.Annotations) {
		spec, problems := policy.Parse(d.Annotations, settings)
		if w.Problems = problems; len(problems) == 0 {
			w.Spec = &spec
		}
	}
	for name, n := range controller.Requests(d) {
		if strings.Contains(string(name), "/") && strings.HasPrefix(string(name), "nvidia.com/") {
			w.GPURequests[string(name)] = n
			w.MIG = w.MIG || strings.HasPrefix(string(name), "nvidia.com/mig-")
		}
	}
	w.GitOps = gitOps(d)
	w.SetsReplicas = setsReplicas(d, controller.HandOf(d))
	return w
}

// marks are how tools that apply manifests again and again mark what they manage.
var marks = []struct{ tool, label, annotation, thing string }{
	{"Argo CD", "", "argocd.argoproj.io/tracking-id", ""},
	{"Argo CD", "argocd.argoproj.io/instance", "", "application"},
	{"Flux", "kustomize.toolkit.fluxcd.io/name", "", "Kustomization"},
	{"Flux", "helm.toolkit.fluxcd.io/name", "", "HelmRelease"},
	{"Helm", "", "meta.helm.sh/release-name", "release"},
}

// gitOps names the tool that manages the Deployment, empty if none has marked it.
func gitOps(d *appsv1.Deployment) string {
	for _, m := range marks {
		value := d.Labels[m.label] + d.Annotations[m.annotation]
		switch {
		case value == "":
		case m.thing == "":
			return m.tool
		default:
			return fmt.Sprintf("%s (%s %s)", m.tool, m.thing, value)
		}
	}
	return ""
}

// setsReplicas names who has the replicas in the manifest that it applies, empty if nobody is known to.
func setsReplicas(d *appsv1.Deployment, hand policy.Hand) string {
	if hand.By == policy.ResettingHand {
		return hand.Manager
	}
	type fields struct {
		Spec struct {
			Replicas  *json.RawMessage `json:"replicas"`
			FReplicas *json.RawMessage `json:"f:replicas"`
		} `json:"spec"`
		FSpec struct {
			FReplicas *json.RawMessage `json:"f:replicas"`
		} `json:"f:spec"`
	}
	for i := range d.ManagedFields {
		var owned fields
		e := &d.ManagedFields[i]
		if e.Operation == metav1.ManagedFieldsOperationApply && e.FieldsV1 != nil &&
			json.Unmarshal(e.FieldsV1.GetRawBytes(), &owned) == nil && owned.FSpec.FReplicas != nil {
			return e.Manager
		}
	}
	var applied fields
	last := d.Annotations["kubectl.kubernetes.io/last-applied-configuration"]
	if last != "" && json.Unmarshal([]byte(last), &applied) == nil && applied.Spec.Replicas != nil {
		return "the manifest of the last kubectl apply"
	}
	return ""
}
