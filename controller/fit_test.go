package controller

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

const gpu = "nvidia.com/gpu"

// apiNode makes a Ready node as the API has it, with labels given as key=value.
func apiNode(name string, allocatable corev1.ResourceList, labels ...string) *corev1.Node {
	n := &corev1.Node{}
	n.Name, n.UID, n.Labels = name, "uid-"+"n", map[string]string{}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		n.Labels[k] = v
	}
	n.Status.Allocatable = allocatable
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

// shapeOf makes the shape of pods.
func shapeOf(spec corev1.PodSpec) shape {
	d := &appsv1.Deployment{}
	d.Spec.Template.Spec = spec
	return newPlacing(d).shape
}

// requiring makes a required node affinity.
func requiring(terms ...corev1.NodeSelectorTerm) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
}

// where makes a term of one expression.
func where(key string, operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

func TestWhichNodesAdmit(t *testing.T) {
	named := func(operator corev1.NodeSelectorOperator, name string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: operator, Values: []string{name}}}}
	}
	both := where("zone", corev1.NodeSelectorOpIn, "a", "b")
	both.MatchExpressions = append(both.MatchExpressions, where("memory", corev1.NodeSelectorOpGt, "90").MatchExpressions...)
	tainted := func(effect corev1.TaintEffect) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: gpu, Value: "present", Effect: effect}}
		}
	}
	cordoned := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	tolerating := func(t corev1.Toleration) corev1.PodSpec {
		return corev1.PodSpec{Tolerations: []corev1.Toleration{t}}
	}
	for name, tt := range map[string]struct {
		spec corev1.PodSpec
		node func(*corev1.Node)
		want bool
	}{
		"any":                        {want: true},
		"selected":                   {spec: corev1.PodSpec{NodeSelector: map[string]string{"zone": "a"}}, want: true},
		"not selected":               {spec: corev1.PodSpec{NodeSelector: map[string]string{"zone": "b"}}},
		"a label it has not":         {spec: corev1.PodSpec{NodeSelector: map[string]string{"rack": ""}}},
		"in":                         {spec: corev1.PodSpec{Affinity: requiring(where("zone", corev1.NodeSelectorOpIn, "a", "c"))}, want: true},
		"not in":                     {spec: corev1.PodSpec{Affinity: requiring(where("zone", corev1.NodeSelectorOpNotIn, "a", "c"))}},
		"not in without the label":   {spec: corev1.PodSpec{Affinity: requiring(where("rack", corev1.NodeSelectorOpNotIn, "a"))}, want: true},
		"exists":                     {spec: corev1.PodSpec{Affinity: requiring(where("zone", corev1.NodeSelectorOpExists))}, want: true},
		"does not exist":             {spec: corev1.PodSpec{Affinity: requiring(where("zone", corev1.NodeSelectorOpDoesNotExist))}},
		"greater":                    {spec: corev1.PodSpec{Affinity: requiring(where("memory", corev1.NodeSelectorOpGt, "79"))}, want: true},
		"not greater":                {spec: corev1.PodSpec{Affinity: requiring(where("memory", corev1.NodeSelectorOpGt, "80"))}},
		"less":                       {spec: corev1.PodSpec{Affinity: requiring(where("memory", corev1.NodeSelectorOpLt, "81"))}, want: true},
		"not less":                   {spec: corev1.PodSpec{Affinity: requiring(where("memory", corev1.NodeSelectorOpLt, "80"))}},
		"all of one term":            {spec: corev1.PodSpec{Affinity: requiring(both)}},
		"one of several terms":       {spec: corev1.PodSpec{Affinity: requiring(both, where("zone", corev1.NodeSelectorOpExists))}, want: true},
		"an empty term":              {spec: corev1.PodSpec{Affinity: requiring(corev1.NodeSelectorTerm{})}},
		"by name":                    {spec: corev1.PodSpec{Affinity: requiring(named(corev1.NodeSelectorOpIn, "n1"))}, want: true},
		"by another name":            {spec: corev1.PodSpec{Affinity: requiring(named(corev1.NodeSelectorOpIn, "n2"))}},
		"not by its name":            {spec: corev1.PodSpec{Affinity: requiring(named(corev1.NodeSelectorOpNotIn, "n1"))}},
		"selector and affinity":      {spec: corev1.PodSpec{NodeSelector: map[string]string{"zone": "b"}, Affinity: requiring(where("zone", corev1.NodeSelectorOpExists))}},
		"a taint":                    {node: tainted(corev1.TaintEffectNoSchedule)},
		"a taint that evicts":        {node: tainted(corev1.TaintEffectNoExecute)},
		"a taint that only prefers":  {node: tainted(corev1.TaintEffectPreferNoSchedule), want: true},
		"a tolerated taint":          {node: tainted(corev1.TaintEffectNoSchedule), spec: tolerating(corev1.Toleration{Key: gpu, Operator: corev1.TolerationOpExists}), want: true},
		"tolerated with its value":   {node: tainted(corev1.TaintEffectNoSchedule), spec: tolerating(corev1.Toleration{Key: gpu, Value: "present"}), want: true},
		"another value is tolerated": {node: tainted(corev1.TaintEffectNoSchedule), spec: tolerating(corev1.Toleration{Key: gpu, Value: "absent"})},
		"the other effect tolerated": {node: tainted(corev1.TaintEffectNoExecute), spec: tolerating(corev1.Toleration{Key: gpu, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})},
		"everything is tolerated":    {node: tainted(corev1.TaintEffectNoExecute), spec: tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists}), want: true},
		"cordoned":                   {node: cordoned},
		"cordoned and tolerated":     {node: cordoned, spec: tolerating(corev1.Toleration{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists}), want: true},
		"not Ready":                  {node: func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }},
		"never Ready":                {node: func(n *corev1.Node) { n.Status.Conditions = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			api := apiNode("n1", nil, "zone=a", "memory=80")
			if tt.node != nil {
				tt.node(api)
			}
			n, _ := newNode(api)
			f := newFit(shapeOf(tt.spec))
			if f.Unknown != "" {
				t.Fatalf("unknown: %s", f.Unknown)
			}
			if got := f.admits(n); got != tt.want {
				t.Errorf("admitted %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTemplatesThatCannotBeJudged(t *testing.T) {
	pods := []corev1.PodAffinityTerm{{TopologyKey: "zone"}}
	volume := func(v corev1.VolumeSource) corev1.PodSpec {
		return corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: v}}}
	}
	ports := func(port corev1.ContainerPort) []corev1.Container {
		return []corev1.Container{{Ports: []corev1.ContainerPort{port}}}
	}
	for name, tt := range map[string]struct {
		spec corev1.PodSpec
		want string
	}{
		"pod affinity":                 {corev1.PodSpec{Affinity: &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: pods}}}, "require or repel"},
		"pod anti-affinity":            {corev1.PodSpec{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: pods}}}, "require or repel"},
		"preferred anti-affinity":      {corev1.PodSpec{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{}}}}}, ""},
		"spread":                       {corev1.PodSpec{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.DoNotSchedule}}}, "spread"},
		"spread if possible":           {corev1.PodSpec{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.ScheduleAnyway}}}, ""},
		"devices claimed":              {corev1.PodSpec{ResourceClaims: []corev1.PodResourceClaim{{Name: "gpu"}}}, "claim devices"},
		"a volume claim":               {volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}), "volumes"},
		"an ephemeral volume":          {volume(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}), "volumes"},
		"a scratch volume":             {volume(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), ""},
		"a host port":                  {corev1.PodSpec{Containers: ports(corev1.ContainerPort{ContainerPort: 80, HostPort: 80})}, "ports"},
		"a host port while starting":   {corev1.PodSpec{InitContainers: ports(corev1.ContainerPort{ContainerPort: 80, HostPort: 80})}, "ports"},
		"the network of the node":      {corev1.PodSpec{HostNetwork: true, Containers: ports(corev1.ContainerPort{ContainerPort: 80})}, "ports"},
		"a port":                       {corev1.PodSpec{Containers: ports(corev1.ContainerPort{ContainerPort: 80})}, ""},
		"another scheduler":            {corev1.PodSpec{SchedulerName: "volcano"}, "another scheduler"},
		"the usual scheduler":          {corev1.PodSpec{SchedulerName: "default-scheduler"}, ""},
		"a node":                       {corev1.PodSpec{NodeName: "n1"}, "name their node"},
		"gates":                        {corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: "kueue"}}}, "held back"},
		"a limit of the whole pod":     {corev1.PodSpec{Resources: &corev1.ResourceRequirements{Limits: list("cpu", "1"), Requests: list("memory", "1")}}, "limit as a whole"},
		"a request of the whole pod":   {corev1.PodSpec{Resources: &corev1.ResourceRequirements{Limits: list("cpu", "1"), Requests: list("cpu", "1")}}, ""},
		"an affinity of unknown kind":  {corev1.PodSpec{Affinity: requiring(where("zone", "Near", "a"))}, "node affinity"},
		"an affinity of unknown field": {corev1.PodSpec{Affinity: requiring(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "spec.x", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}})}, "metadata.name"},
		"a priority that never evicts": {corev1.PodSpec{PreemptionPolicy: ptr.To(corev1.PreemptNever), PriorityClassName: "high"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newFit(shapeOf(tt.spec)).Unknown; (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("unknown because %q, want %q", got, tt.want)
			}
		})
	}
}
