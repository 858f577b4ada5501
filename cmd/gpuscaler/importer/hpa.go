package importer

import (
	"strconv"
	"strings"

	autoscaling "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/util/validation"
)

// hpaKind is the kind of the Kubernetes autoscaler.
const hpaKind = "HorizontalPodAutoscaler"

// hpa is a HorizontalPodAutoscaler of any version that is served today, or was until v2beta2 went.
type hpa struct {
	autoscaling.HorizontalPodAutoscaler `json:",inline"`
	Spec                                hpaSpec `json:"spec"`
	Status                              any     `json:"status"`
}

// hpaSpec is the newest form with the field that only v1 has.
type hpaSpec struct {
	autoscaling.HorizontalPodAutoscalerSpec `json:",inline"`
	TargetCPUUtilizationPercentage          *int32 `json:"targetCPUUtilizationPercentage"`
}

// Annotations of v1, in which the API server keeps what that version has no fields for.
const (
	alphaMetrics  = "autoscaling.alpha.kubernetes.io/metrics"
	alphaBehavior = "autoscaling.alpha.kubernetes.io/behavior"
)

// translateHPA translates a HorizontalPodAutoscaler.
func (t *translation) translateHPA(h *hpa) {
	if !t.target(h.Spec.ScaleTargetRef.APIVersion, h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name) {
		return
	}
	for i := range h.OwnerReferences {
		if owner := &h.OwnerReferences[i]; owner.Kind == kedaKind {
			t.gap("metadata.ownerReferences", kedaKind+" "+owner.Name, "KEDA made this HPA of it and keeps it so: import scaledobject/%s instead", owner.Name)
			t.nothing()
			return
		}
	}
	t.set("max-replicas", strconv.Itoa(int(h.Spec.MaxReplicas)), "spec.maxReplicas")
	t.behavior("spec.behavior", h.Spec.Behavior)
	for i := range h.Spec.Metrics {
		t.hpaMetric("spec.metrics["+strconv.Itoa(i)+"]", &h.Spec.Metrics[i])
	}
	if v := h.Spec.TargetCPUUtilizationPercentage; v != nil {
		t.gap("spec.targetCPUUtilizationPercentage", *v, noCPU)
	}
	for _, key := range []string{alphaMetrics, alphaBehavior} {
		if value := h.Annotations[key]; value != "" {
			t.gap("metadata.annotations."+key, value, "is how autoscaling/v1 shows what it has no fields for: import it as `kubectl get hpa.v2.autoscaling %s -o yaml` prints it", t.Name)
		}
	}
	if len(h.Spec.Metrics) == 0 && h.Spec.TargetCPUUtilizationPercentage == nil {
		t.gap("spec.metrics", "", "are not given, so that the HPA uses 80 %% of the requested CPU; "+noCPU)
	}
	t.hpaMinimum(h)
}

// hpaMinimum translates minReplicas. At 0 the HPA wakes by any external or object metric.
func (t *translation) hpaMinimum(h *hpa) {
	if h.Spec.MinReplicas == nil || *h.Spec.MinReplicas != 0 {
		minimum := int32(1)
		if h.Spec.MinReplicas != nil {
			minimum = *h.Spec.MinReplicas
		}
		t.set("min-replicas", strconv.Itoa(int(minimum)), "spec.minReplicas")
		return
	}
	const field = "spec.minReplicas"
	workload := t.workload
	if len(workload) == 0 {
		t.set("min-replicas", "1", field)
		t.gap(field, 0, "scaling to zero needs activate-on, a signal that does not come from the Deployment's own pods, and none of the metrics that could be translated is one: min-replicas is 1")
		return
	}
	idle := int32(300)
	if b := h.Spec.Behavior; b != nil && b.ScaleDown != nil && b.ScaleDown.StabilizationWindowSeconds != nil {
		idle = max(*b.ScaleDown.StabilizationWindowSeconds, 1)
	}
	t.set("min-replicas", "0", field)
	t.set("idle-after", seconds(idle), field)
	t.set("activate-on", workload[0]+" > 0", field)
	t.note("scale to zero: idle-after is the HPA's window for lowering; all signals must have read 0 for so long; make sure that %s does not come from the Deployment's own pods", workload[0])
	for _, other := range workload[1:] {
		t.gap(field, 0, "%s does not wake the Deployment from zero: activate-on names one signal, here %s", other, workload[0])
	}
}

// target takes over what is scaled, and reports whether it is a Deployment.
func (t *translation) target(apiVersion, kind, name string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	switch {
	case name == "":
		t.gap("spec.scaleTargetRef.name", "", "is missing: there is nothing to annotate")
	case kind != "Deployment" || group != "apps" && group != "extensions":
		t.gap("spec.scaleTargetRef", strings.Trim(apiVersion+" "+kind+" "+name, " "), "only Deployments of apps/v1 are scaled")
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		t.gap("spec.scaleTargetRef.name", name, "is no name of a Deployment")
	default:
		t.Deployment = name
		return true
	}
	t.nothing()
	return false
}
