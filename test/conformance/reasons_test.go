package conformance

import (
	"fmt"
	"strings"

	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// compareReasons compares the stages with the conditions that the HPA set at the same tick.
func compareReasons(spec *policy.Spec, ours *policy.Decision, theirs *hpa.Outcome) error {
	if active := theirs.Condition(autoscaling.ScalingActive); active != nil && active.Status == corev1.ConditionFalse {
		return compareInactive(ours, active.Reason)
	}
	limited := theirs.Condition(autoscaling.ScalingLimited)
	if limited == nil {
		// Replicas outside the bounds: the HPA asked no metric.
		if r := ours.Recommended.Reason; r != ours.Bounded.Reason || r != policy.TooManyReplicas && r != policy.TooFewReplicas {
			return fmt.Errorf("differs: the HPA only moved the replicas into the bounds, our reasons are %s and %s", r, ours.Bounded.Reason)
		}
		return nil
	}
	// A write replaces the reason of this condition.
	if able := theirs.Condition(autoscaling.AbleToScale); ours.Desired == ours.Current && able.Reason != string(ours.Stabilized.Reason) {
		return fmt.Errorf("differs: the HPA's windows say %s, ours %s", able.Reason, ours.Stabilized.Reason)
	}
	if reason := limit(spec, ours); limited.Reason != string(reason) {
		return fmt.Errorf("differs: the HPA's limits say %s, ours %s", limited.Reason, reason)
	}
	return nil
}

// compareInactive compares what is said where the HPA did not decide.
func compareInactive(ours *policy.Decision, reason string) error {
	said := []policy.Reason{ours.Recommended.Reason, ours.Guarded.Reason}
	if reason == "ScalingDisabled" {
		if ours.Reason != policy.ScalingDisabled {
			return fmt.Errorf("differs: the HPA says %s, ours %s", reason, ours.Reason)
		}
		return nil
	}
	for _, r := range said {
		if r == policy.NoData || r == policy.StaleData || r == policy.PartialData {
			return nil
		}
	}
	return fmt.Errorf("differs: the HPA says %s, ours %s", reason, said)
}

// limit returns what limits and bounds say together, as the HPA has one stage for both. Where a limit and a bound meet
// at the same number our limit, being the earlier stage, has changed it, and the HPA names the bound.
func limit(spec *policy.Spec, ours *policy.Decision) policy.Reason {
	switch {
	case ours.Bounded.Replicas != ours.Limited.Replicas:
		return ours.Bounded.Reason
	case ours.Limited.Replicas == ours.Stabilized.Replicas:
		return policy.DesiredWithinRange
	case ours.Limited.Reason == policy.ScaleUpLimit && ours.Limited.Replicas == spec.MaxReplicas:
		return policy.TooManyReplicas
	case ours.Limited.Reason == policy.ScaleDownLimit && ours.Limited.Replicas == spec.MinReplicas:
		return policy.TooFewReplicas
	}
	return ours.Limited.Reason
}

// String tells one tick in one line.
func (m *moment) String() string {
	var b strings.Builder
	ours := &m.ours
	fmt.Fprintf(&b, "%4d %s current %d:", m.tick, ours.Time.Format("15:04:05.000"), ours.Current)
	for _, stage := range []policy.Stage{ours.Recommended, ours.Guarded, ours.Stabilized, ours.Limited, ours.Bounded} {
		fmt.Fprintf(&b, " -> %d %s", stage.Replicas, stage.Reason)
	}
	for _, s := range ours.Signals {
		fmt.Fprintf(&b, " | %s %v/%v: %d, %d sampled, %d missing %s", s.Signal, s.Value, s.Target, s.Recommended, s.Sampled, s.Missing, s.Reason)
	}
	fmt.Fprintf(&b, " | refused %t | HPA: %d", m.seen.theirs.RefuseWrite, m.theirs.Desired)
	for _, c := range m.theirs.Conditions {
		fmt.Fprintf(&b, " %s=%s/%s", c.Type, c.Status, c.Reason)
	}
	if m.theirs.Err != nil {
		fmt.Fprintf(&b, " (%v)", m.theirs.Err)
	}
	return b.String()
}
