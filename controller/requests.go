package controller

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts are what pods request or nodes offer by resource: cpu in thousandths, all else in whole units (bytes, devices).
type amounts map[corev1.ResourceName]int64

// amountsOf converts a list of the API.
func amountsOf(list corev1.ResourceList) amounts {
	if len(list) == 0 {
		return nil
	}
	a := make(amounts, len(list))
	for name, quantity := range list {
		a[name] = amountOf(name, quantity)
	}
	return a
}

// amountOf converts one quantity. Fractions are rounded up, as the scheduler does.
func amountOf(name corev1.ResourceName, quantity resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return quantity.MilliValue()
	}
	return quantity.Value()
}

// add adds others to the amounts.
func (a amounts) add(others amounts) {
	for name, n := range others {
		a[name] += n
	}
}

// atLeast raises the amounts to others where these are higher.
func (a amounts) atLeast(others amounts) {
	for name, n := range others {
		a[name] = max(a[name], n)
	}
}

// podRequests returns what a node must have free for a pod, as the scheduler counts it: the containers together, or what the init
// containers need where that is more, what is requested for the pod as a whole in place of it, and the overhead of its runtime.
func podRequests(spec *corev1.PodSpec, status *corev1.PodStatus) amounts {
	running, starting := amounts{}, amounts{}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		requests := containerRequests(c, status.InitContainerStatuses)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			running.add(requests) // it stays beside all that come after it
			starting.atLeast(running)
			continue
		}
		requests.add(running)
		starting.atLeast(requests)
	}
	for i := range spec.Containers {
		running.add(containerRequests(&spec.Containers[i], status.ContainerStatuses))
	}
	running.atLeast(starting)
	if spec.Resources != nil {
		for name, n := range amountsOf(spec.Resources.Requests) {
			if ofWholePod(name) {
				running[name] = n
			}
		}
	}
	running.add(amountsOf(spec.Overhead))
	for name, n := range running {
		if n <= 0 {
			delete(running, name)
		}
	}
	return running
}

// ofWholePod reports whether a resource can be requested for a pod as a whole.
func ofWholePod(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// containerRequests returns what a container requests. A limit without a request is one: in a template the API server has not
// filled it in yet. While a container is being resized the larger of old and new counts.
func containerRequests(c *corev1.Container, statuses []corev1.ContainerStatus) amounts {
	requests := amounts{}
	requests.add(amountsOf(c.Resources.Limits))
	for name, n := range amountsOf(c.Resources.Requests) {
		requests[name] = n
	}
	for i := range statuses {
		s := &statuses[i]
		if s.Name != c.Name {
			continue
		}
		requests.atLeast(amountsOf(s.AllocatedResources))
		if s.Resources != nil {
			requests.atLeast(amountsOf(s.Resources.Requests))
		}
	}
	return requests
}
