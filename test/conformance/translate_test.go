package conformance

import (
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/gpuscaler/gpuscaler/policy"
)

// translate gives the HPA's object the policy of the scenario.
func (s *scenario) translate(object *autoscaling.HorizontalPodAutoscaler) {
	minimum := int32(s.spec.MinReplicas)
	object.Spec.MinReplicas = &minimum
	object.Spec.MaxReplicas = int32(s.spec.MaxReplicas)
	object.Spec.Behavior = &autoscaling.HorizontalPodAutoscalerBehavior{
		ScaleUp:   rules(&s.spec.ScaleUp, s.tolerances[0]),
		ScaleDown: rules(&s.spec.ScaleDown, s.tolerances[1]),
	}
	object.Spec.Metrics = nil
	for _, target := range s.spec.Targets {
		object.Spec.Metrics = append(object.Spec.Metrics, metric(target))
	}
}

// rules translates the rules of one direction.
func rules(r *policy.Rules, tolerance int) *autoscaling.HPAScalingRules {
	window := seconds(r.StabilizationWindow)
	selectPolicy := map[policy.SelectPolicy]autoscaling.ScalingPolicySelect{
		policy.MaxChange: autoscaling.MaxChangePolicySelect,
		policy.MinChange: autoscaling.MinChangePolicySelect,
		policy.Disabled:  autoscaling.DisabledPolicySelect,
	}[r.SelectPolicy]
	result := &autoscaling.HPAScalingRules{
		StabilizationWindowSeconds: &window,
		SelectPolicy:               &selectPolicy,
		Tolerance:                  resource.NewMilliQuantity(int64(tolerance), resource.DecimalSI),
	}
	for _, p := range r.Policies {
		kind := autoscaling.PodsScalingPolicy
		if p.Type == policy.Percent {
			kind = autoscaling.PercentScalingPolicy
		}
		result.Policies = append(result.Policies, autoscaling.HPAScalingPolicy{
			Type: kind, Value: int32(p.Value), PeriodSeconds: seconds(p.Period),
		})
	}
	return result
}

// metric translates a target: an average value per pod, of a metric of the pods or of an external one.
func metric(target policy.Target) autoscaling.MetricSpec {
	average := autoscaling.MetricTarget{
		Type:         autoscaling.AverageValueMetricType,
		AverageValue: resource.NewMilliQuantity(int64(milli(target.Value)), resource.DecimalSI),
	}
	identifier := autoscaling.MetricIdentifier{Name: string(target.Signal)}
	if target.Signal == workloadSignal {
		return autoscaling.MetricSpec{
			Type:     autoscaling.ExternalMetricSourceType,
			External: &autoscaling.ExternalMetricSource{Metric: identifier, Target: average},
		}
	}
	return autoscaling.MetricSpec{
		Type: autoscaling.PodsMetricSourceType,
		Pods: &autoscaling.PodsMetricSource{Metric: identifier, Target: average},
	}
}

// seconds converts a duration of whole seconds.
func seconds(d time.Duration) int32 { return int32(d / time.Second) }
