package hpa

import (
	"context"
	_ "unsafe" // for go:linkname

	autoscaling "k8s.io/api/autoscaling/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
)

// reconcile is the controller's work on one object, from reading the scale to writing it. It returns an error where
// metrics are missing, whether or not it could decide without them.
//
//go:linkname reconcile k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).reconcileAutoscaler
func reconcile(c *podautoscaler.HorizontalController, ctx context.Context, object *autoscaling.HorizontalPodAutoscaler, key string) error

// enqueue is what the controller's informer calls when an object is added. The controller refuses to work on others.
//
//go:linkname enqueue k8s.io/kubernetes/pkg/controller/podautoscaler.(*HorizontalController).enqueueHPA
func enqueue(c *podautoscaler.HorizontalController, object any)
