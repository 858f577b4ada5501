package importer

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	autoscaling "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kedaKind is KEDA's kind.
const kedaKind = "ScaledObject"

// scaledObject is what KEDA reads.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              scaledObjectSpec `json:"spec"`
	Status            any              `json:"status"`
}

type scaledObjectSpec struct {
	ScaleTargetRef struct {
		APIVersion             string `json:"apiVersion"`
		Kind                   string `json:"kind"`
		Name                   string `json:"name"`
		EnvSourceContainerName string `json:"envSourceContainerName"`
	} `json:"scaleTargetRef"`
	PollingInterval       *int32    `json:"pollingInterval"`
	InitialCooldownPeriod *int32    `json:"initialCooldownPeriod"`
	CooldownPeriod        *int32    `json:"cooldownPeriod"`
	IdleReplicaCount      *int32    `json:"idleReplicaCount"`
	MinReplicaCount       *int32    `json:"minReplicaCount"`
	MaxReplicaCount       *int32    `json:"maxReplicaCount"`
	Fallback              any       `json:"fallback"`
	Advanced              *advanced `json:"advanced"`
	Triggers              []trigger `json:"triggers"`
}

type advanced struct {
	HorizontalPodAutoscalerConfig *struct {
		Name     string                                       `json:"name"`
		Behavior *autoscaling.HorizontalPodAutoscalerBehavior `json:"behavior"`
	} `json:"horizontalPodAutoscalerConfig"`
	RestoreToOriginalReplicaCount bool           `json:"restoreToOriginalReplicaCount"`
	ScalingModifiers              map[string]any `json:"scalingModifiers"`
}

// Defaults of KEDA.
const (
	kedaMaximum  = 100
	kedaCooldown = 300
)

// translateKEDA translates a ScaledObject.
func (t *translation) translateKEDA(o *scaledObject) {
	ref := &o.Spec.ScaleTargetRef
	if !t.target(cmp.Or(ref.APIVersion, "apps/v1"), cmp.Or(ref.Kind, "Deployment"), ref.Name) {
		return
	}
	maximum := int32(kedaMaximum)
	if o.Spec.MaxReplicaCount != nil {
		maximum = *o.Spec.MaxReplicaCount
	} else {
		t.note("max-replicas is KEDA's default of %d: set it to what there are GPUs for", kedaMaximum)
	}
	t.set("max-replicas", strconv.Itoa(int(maximum)), "spec.maxReplicaCount")
	t.advanced(o.Spec.Advanced)
	t.triggers(o)
	t.kedaMinimum(o)
	t.cron(o.Spec.Triggers, maximum)
	t.pauses(o.Annotations)
	t.timing(&o.Spec)
}

// advanced translates what stands under spec.advanced.
func (t *translation) advanced(a *advanced) {
	if a == nil {
		return
	}
	const field = "spec.advanced"
	if c := a.HorizontalPodAutoscalerConfig; c != nil {
		t.behavior(field+".horizontalPodAutoscalerConfig.behavior", c.Behavior)
		if c.Name != "" {
			t.note("%s.horizontalPodAutoscalerConfig.name: there is no HPA any more that would have the name %s", field, c.Name)
		}
	}
	if a.RestoreToOriginalReplicaCount {
		t.gap(field+".restoreToOriginalReplicaCount", true, "the replicas stay as they are when the annotations are taken away; set it to false before you delete the ScaledObject, or KEDA resets the replicas")
	}
}

// timing tells what becomes of periods and of the fallback.
func (t *translation) timing(s *scaledObjectSpec) {
	if s.PollingInterval != nil {
		t.gap("spec.pollingInterval", *s.PollingInterval, "the interval is the controller's, for all Deployments: `gpuscaler run --interval`, 5s by default")
	}
	if s.InitialCooldownPeriod != nil && *s.InitialCooldownPeriod != 0 {
		t.gap("spec.initialCooldownPeriod", *s.InitialCooldownPeriod, "a Deployment that is new is idle like any other: after idle-after")
	}
	if s.CooldownPeriod != nil && !t.has("idle-after") {
		t.note("spec.cooldownPeriod: is only for the way to zero, in KEDA as well as here, and the Deployment does not go there")
	}
	if s.Fallback != nil {
		t.gap("spec.fallback", s.Fallback, "without data nothing is lowered and nothing is raised: the replicas stay as they are, they do not become a number that was set before")
	}
	if name := s.ScaleTargetRef.EnvSourceContainerName; name != "" {
		t.gap("spec.scaleTargetRef.envSourceContainerName", name, "triggers read no environment of a container")
	}
}

// kedaPrefix is that of the annotations by which KEDA is paused.
const kedaPrefix = "autoscaling.keda.sh/"

// pauses translates the annotations of a ScaledObject.
func (t *translation) pauses(annotations map[string]string) {
	var up, down bool
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		value, field := annotations[key], "metadata.annotations."+key
		name, keda := strings.CutPrefix(key, kedaPrefix)
		switch {
		case !keda || value == "false":
		case name == "paused":
			up, down = true, true
		case name == "paused-scale-out":
			up = true
		case name == "paused-scale-in":
			down = true
		case name == "paused-replicas":
			up, down = true, true
			t.gap(field, value, "paused holds the replicas that there are: bring them to %s yourself, as with kubectl scale", value)
		default:
			t.gap(field, value, "has no equivalent")
		}
	}
	switch {
	case up && down:
		t.set("paused", "true", "metadata.annotations."+kedaPrefix+"paused")
	case up:
		t.set("paused", "up", "metadata.annotations."+kedaPrefix+"paused-scale-out")
	case down:
		t.set("paused", "down", "metadata.annotations."+kedaPrefix+"paused-scale-in")
	}
}
