package hpa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	scaleclient "k8s.io/client-go/scale"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// surrounds is all that the controller calls: the API server's scale subresource, the status of its object, and
// the metrics APIs. It answers from the Sight of the tick.
type surrounds struct {
	seen    *Sight
	desired int32
	status  *autoscaling.HorizontalPodAutoscalerStatus
}

// look begins a tick.
func (s *surrounds) look(seen *Sight) {
	s.seen, s.desired, s.status = seen, seen.Replicas, nil
}

// Scales implements scaleclient.ScalesGetter.
func (s *surrounds) Scales(string) scaleclient.ScaleInterface { return scales{s: s} }

// HorizontalPodAutoscalers implements autoscalingclient.HorizontalPodAutoscalersGetter.
func (s *surrounds) HorizontalPodAutoscalers(string) autoscalingclient.HorizontalPodAutoscalerInterface {
	return statuses{s: s}
}

// Events implements coreclient.EventsGetter. There is none to write: see forgetEvents.
func (s *surrounds) Events(string) coreclient.EventInterface { return nil }

// scales has the methods of the scale client that the controller calls.
type scales struct {
	scaleclient.ScaleInterface
	s *surrounds
}

// Get returns the replicas that the controller sees.
func (c scales) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	replicas := c.s.seen.Replicas
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: replicas, Selector: "app=" + name},
	}, nil
}

// Update notes the replicas that the controller wants.
func (c scales) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	c.s.desired = scale.Spec.Replicas
	if c.s.seen.RefuseWrite {
		return nil, errors.New("the write is refused at this tick")
	}
	return scale, nil
}

// statuses has the methods of the autoscaling client that the controller calls.
type statuses struct {
	autoscalingclient.HorizontalPodAutoscalerInterface
	s *surrounds
}

// UpdateStatus notes the status.
func (c statuses) UpdateStatus(_ context.Context, object *autoscaling.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscaling.HorizontalPodAutoscaler, error) {
	c.s.status = &object.Status
	return object, nil
}

// GetRawMetric implements metricsclient.MetricsClient. The controller writes to the map it is given.
func (s *surrounds) GetRawMetric(metric, _ string, _, _ labels.Selector) (metricsclient.PodMetricsInfo, time.Time, error) {
	values, ok := s.seen.PodMetrics[metric]
	if !ok {
		return nil, time.Time{}, fmt.Errorf("no metrics returned from custom metrics API: %s", metric)
	}
	return maps.Clone(values), time.Now(), nil
}

// GetExternalMetric implements metricsclient.MetricsClient.
func (s *surrounds) GetExternalMetric(metric, _ string, _ labels.Selector) ([]int64, time.Time, error) {
	value, ok := s.seen.External[metric]
	if !ok {
		return nil, time.Time{}, fmt.Errorf("no metrics returned from external metrics API: %s", metric)
	}
	return []int64{value}, time.Now(), nil
}

// GetResourceMetric implements metricsclient.MetricsClient. There are none.
func (s *surrounds) GetResourceMetric(_ context.Context, resource corev1.ResourceName, _ string, _ labels.Selector, _ string) (metricsclient.PodMetricsInfo, time.Time, error) {
	return nil, time.Time{}, fmt.Errorf("reading resource metric %s: there are no resource metrics here", resource)
}

// GetObjectMetric implements metricsclient.MetricsClient. There are none.
func (s *surrounds) GetObjectMetric(metric, _ string, _ *autoscaling.CrossVersionObjectReference, _ labels.Selector) (int64, time.Time, error) {
	return 0, time.Time{}, fmt.Errorf("reading object metric %s: there are no object metrics here", metric)
}
