package controller

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// list makes a list of quantities from names and quantities in turn.
func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

// container makes one with requests.
func container(pairs ...string) corev1.Container {
	return corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: list(pairs...)}}
}

func TestPodRequests(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	sidecar := func(pairs ...string) corev1.Container {
		c := container(pairs...)
		c.RestartPolicy = &always
		return c
	}
	for name, tt := range map[string]struct {
		spec   corev1.PodSpec
		status corev1.PodStatus
		want   amounts
	}{
		"containers add up, cpu in thousandths": {
			spec: corev1.PodSpec{Containers: []corev1.Container{container("cpu", "1500m", gpu, "1"), container("cpu", "1", "memory", "1Gi")}},
			want: amounts{"cpu": 2500, "memory": 1 << 30, gpu: 1},
		},
		"a limit without a request is one": {
			spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: list(gpu, "2", "cpu", "4"), Requests: list("cpu", "1")}}}},
			want: amounts{"cpu": 1000, gpu: 2},
		},
		"init containers run before the others": {
			spec: corev1.PodSpec{
				InitContainers: []corev1.Container{container("cpu", "3"), container("cpu", "1", "memory", "8Gi")},
				Containers:     []corev1.Container{container("cpu", "2", "memory", "1Gi")},
			},
			want: amounts{"cpu": 3000, "memory": 8 << 30},
		},
		"sidecars stay beside those that come after them": {
			spec: corev1.PodSpec{
				InitContainers: []corev1.Container{container("cpu", "2"), sidecar("cpu", "1"), container("cpu", "4")},
				Containers:     []corev1.Container{container("cpu", "3")},
			},
			want: amounts{"cpu": 5000},
		},
		"a sidecar adds to the containers": {
			spec: corev1.PodSpec{InitContainers: []corev1.Container{sidecar("cpu", "1")}, Containers: []corev1.Container{container("cpu", "3")}},
			want: amounts{"cpu": 4000},
		},
		"what is requested for the pod as a whole stands in place": {
			spec: corev1.PodSpec{
				Resources:  &corev1.ResourceRequirements{Requests: list("cpu", "8", gpu, "5")}, // no devices for a whole pod
				Containers: []corev1.Container{container("cpu", "1", "memory", "1Gi", gpu, "1")},
			},
			want: amounts{"cpu": 8000, "memory": 1 << 30, gpu: 1},
		},
		"overhead is added": {
			spec: corev1.PodSpec{Overhead: list("cpu", "250m", "memory", "1Mi"), Containers: []corev1.Container{container("cpu", "1")}},
			want: amounts{"cpu": 1250, "memory": 1 << 20},
		},
		"while a container is resized the larger counts": {
			spec:   corev1.PodSpec{Containers: []corev1.Container{container("cpu", "1", "memory", "4Gi")}},
			status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", AllocatedResources: list("cpu", "2", "memory", "2Gi")}}},
			want:   amounts{"cpu": 2000, "memory": 4 << 30},
		},
		"nothing": {spec: corev1.PodSpec{Containers: []corev1.Container{container("cpu", "0")}}, want: amounts{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := podRequests(&tt.spec, &tt.status); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
