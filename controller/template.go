package controller

import (
	"encoding/json"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// template is what decides which nodes can take a Deployment's pods, as far as that can be told at little cost.
type template struct {
	// Unknown says why it cannot be told, empty if it can.
	Unknown      string                    `json:"unknown,omitempty"`
	Requests     amounts                   `json:"requests,omitempty"`
	NodeSelector map[string]string         `json:"nodeSelector,omitempty"`
	Terms        []corev1.NodeSelectorTerm `json:"terms,omitempty"`
	Tolerations  []corev1.Toleration       `json:"tolerations,omitempty"`
	// Priority and Runtime are the names of the pods' classes. What they stand for is seen on pods that have them.
	Priority string `json:"priority,omitempty"`
	Runtime  string `json:"runtime,omitempty"`
	// Polite pods evict no others.
	Polite bool `json:"polite,omitempty"`
}

// shape is a template written down. Deployments whose pods fit the same nodes share one.
type shape = unique.Handle[string]

// placing is what is kept of a Deployment to tell how many more of its pods can be placed.
type placing struct {
	// shape is that of its pods; the zero shape is unknown.
	shape shape
	// judged says that it can be told which nodes take its pods.
	judged bool
	// settled says that as many pods as are asked for are ready: none waits for a node.
	settled bool
	// refused says that further pods are not even created.
	refused bool
}

// newPlacing takes it from a Deployment.
func newPlacing(d *appsv1.Deployment) placing {
	s, replicas := &d.Status, int32(1)
	if d.Spec.Replicas != nil {
		replicas = *d.Spec.Replicas
	}
	p := placing{settled: s.ObservedGeneration >= d.Generation && s.Replicas == replicas && s.ReadyReplicas == replicas}
	for i := range s.Conditions {
		if c := &s.Conditions[i]; c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			p.refused = true
		}
	}
	t := newTemplate(&d.Spec.Template.Spec)
	if text, err := json.Marshal(&t); err == nil {
		p.shape, p.judged = unique.Make(string(text)), t.Unknown == ""
	}
	return p
}

// newTemplate takes the template from the pods' specification.
func newTemplate(spec *corev1.PodSpec) template {
	if why := unknownFit(spec); why != "" {
		return template{Unknown: why}
	}
	t := template{
		Requests: podRequests(spec, &corev1.PodStatus{}), NodeSelector: spec.NodeSelector, Tolerations: spec.Tolerations,
		Priority: spec.PriorityClassName,
		Polite:   spec.PreemptionPolicy != nil && *spec.PreemptionPolicy == corev1.PreemptNever,
	}
	if spec.RuntimeClassName != nil {
		t.Runtime = *spec.RuntimeClassName
	}
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		t.Terms = a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	return t
}

// unknownFit says what makes it too costly or impossible to tell which nodes can take the pods, empty if nothing does.
func unknownFit(spec *corev1.PodSpec) string {
	switch {
	case spec.SchedulerName != "" && spec.SchedulerName != corev1.DefaultSchedulerName:
		return "another scheduler places its pods"
	case spec.NodeName != "":
		return "its pods name their node"
	case spec.SchedulingGroup != nil, len(spec.SchedulingGates) > 0:
		return "its pods are held back or placed as a group"
	case spec.Affinity != nil && (requiresPods(spec.Affinity.PodAffinity) || repelsPods(spec.Affinity.PodAntiAffinity)):
		return "its pods require or repel other pods"
	case len(spec.ResourceClaims) > 0:
		return "its pods claim devices"
	case spec.Resources != nil && limitsAlone(spec.Resources):
		return "its pods have a limit as a whole without a request"
	}
	for i := range spec.TopologySpreadConstraints {
		if spec.TopologySpreadConstraints[i].WhenUnsatisfiable != corev1.ScheduleAnyway {
			return "its pods must be spread"
		}
	}
	for i := range spec.Volumes {
		if bindsVolume(&spec.Volumes[i].VolumeSource) {
			return "its pods have volumes that bind them to places"
		}
	}
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		if usesHostPort(list, spec.HostNetwork) {
			return "its pods use ports of their node"
		}
	}
	return ""
}

func requiresPods(a *corev1.PodAffinity) bool {
	return a != nil && len(a.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}

func repelsPods(a *corev1.PodAntiAffinity) bool {
	return a != nil && len(a.RequiredDuringSchedulingIgnoredDuringExecution) > 0
}

// limitsAlone reports whether there is a limit without a request, which the API server makes one from the containers.
func limitsAlone(r *corev1.ResourceRequirements) bool {
	for name := range r.Limits {
		if _, requested := r.Requests[name]; !requested {
			return true
		}
	}
	return false
}

// bindsVolume reports whether a volume may be had on some nodes only, or on so many at a time.
func bindsVolume(v *corev1.VolumeSource) bool {
	return v.PersistentVolumeClaim != nil || v.Ephemeral != nil || v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil ||
		v.AzureDisk != nil || v.Cinder != nil || v.ISCSI != nil || v.RBD != nil
}

// usesHostPort reports whether a container takes a port of its node; on the node's network every port is one.
func usesHostPort(containers []corev1.Container, hostNetwork bool) bool {
	for i := range containers {
		for _, port := range containers[i].Ports {
			if hostNetwork || port.HostPort != 0 {
				return true
			}
		}
	}
	return false
}
