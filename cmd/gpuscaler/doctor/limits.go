package doctor

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gpuscaler/gpuscaler/controller"
)

// limit finds what quotas and limit ranges say about the workload.
func (f *objects) limit(w *WorkloadFacts, d *appsv1.Deployment) {
	for i := range f.quotas {
		if f.quotas[i].Namespace == w.Namespace {
			w.Quotas = append(w.Quotas, quotaProblems(&f.quotas[i], w, d)...)
		}
	}
	for i := range f.ranges {
		if f.ranges[i].Namespace == w.Namespace {
			w.Ranges = append(w.Ranges, rangeProblems(&f.ranges[i], &d.Spec.Template.Spec)...)
		}
	}
}

// quotaProblems says of what a quota allows too little for max-replicas. A quota of some priorities or kinds of pods only is not judged.
func quotaProblems(q *corev1.ResourceQuota, w *WorkloadFacts, d *appsv1.Deployment) []string {
	if w.Spec == nil || len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
		return nil
	}
	more := int64(w.Spec.MaxReplicas - w.Pods)
	if !w.PodsKnown {
		more = int64(w.Spec.MaxReplicas - w.Replicas)
	}
	requests := controller.Requests(d)
	var problems []string
	for name, hard := range q.Spec.Hard {
		each := quotaShare(name, requests)
		used := q.Status.Used[name]
		if each == 0 || more <= 0 {
			continue
		}
		// Quotas count cpu in thousandths too; a value that does not fit is far above any that matters.
		if left := amount(name, hard) - amount(name, used); each*more > left {
			problems = append(problems, fmt.Sprintf("ResourceQuota %s allows %s %s and %s are used: it is enough for %d more pods, and max-replicas %d is %d more",
				q.Name, hard.String(), name, used.String(), max(left, 0)/each, w.Spec.MaxReplicas, more))
		}
	}
	slices.Sort(problems)
	return problems
}

// quotaShare is what one pod takes of a quota's resource, 0 if it takes none of it.
func quotaShare(name corev1.ResourceName, requests map[corev1.ResourceName]int64) int64 {
	switch {
	case name == corev1.ResourcePods || name == "count/pods":
		return 1
	case strings.HasPrefix(string(name), "requests."):
		return requests[corev1.ResourceName(strings.TrimPrefix(string(name), "requests."))]
	}
	return requests[name] // "cpu" and "memory" are requests too
}

// amount is a quantity in the unit of the requests.
func amount(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU || name == corev1.ResourceRequestsCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// rangeProblems says which of a limit range's bounds a pod breaks.
func rangeProblems(r *corev1.LimitRange, spec *corev1.PodSpec) []string {
	var problems []string
	for _, item := range r.Spec.Limits {
		pod := corev1.ResourceList{}
		for i := range spec.Containers {
			c := &spec.Containers[i]
			if item.Type == corev1.LimitTypeContainer {
				problems = append(problems, outside(r.Name, "container "+c.Name, item, limitsOf(c))...)
			}
			for name, q := range limitsOf(c) {
				sum := pod[name]
				sum.Add(q)
				pod[name] = sum
			}
		}
		if item.Type == corev1.LimitTypePod {
			problems = append(problems, outside(r.Name, "a pod", item, pod)...)
		}
	}
	slices.Sort(problems)
	return problems
}

// limitsOf are what a container may take: its limits, and where there is none its requests.
func limitsOf(c *corev1.Container) corev1.ResourceList {
	list := corev1.ResourceList{}
	for _, from := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
		for name, q := range from {
			list[name] = q
		}
	}
	return list
}

// outside compares with the maximum of a limit range.
func outside(limitRange, who string, item corev1.LimitRangeItem, wants corev1.ResourceList) []string {
	var problems []string
	for name, most := range item.Max {
		if q, asked := wants[name]; asked && q.Cmp(most) > 0 {
			problems = append(problems, fmt.Sprintf("LimitRange %s allows %s %s at most, and %s wants %s", limitRange, most.String(), name, who, q.String()))
		}
	}
	return problems
}
