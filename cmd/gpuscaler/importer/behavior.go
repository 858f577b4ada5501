package importer

import (
	"fmt"
	"strings"
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

// behavior translates the scaling rules of both directions. What is not given has the same default here.
func (t *translation) behavior(field string, b *autoscaling.HorizontalPodAutoscalerBehavior) {
	if b == nil {
		return
	}
	t.rules(field+".scaleUp", "scale-up.", b.ScaleUp)
	t.rules(field+".scaleDown", "scale-down.", b.ScaleDown)
}

// rules translates the scaling rules of one direction.
func (t *translation) rules(field, prefix string, r *autoscaling.HPAScalingRules) {
	if r == nil {
		return
	}
	if r.StabilizationWindowSeconds != nil {
		t.set(prefix+"stabilization", seconds(*r.StabilizationWindowSeconds), field+".stabilizationWindowSeconds")
	}
	if r.SelectPolicy != nil {
		t.set(prefix+"select-policy", strings.ToLower(string(*r.SelectPolicy)), field+".selectPolicy")
	}
	if r.Tolerance != nil {
		t.set(prefix+"tolerance", plainDecimal(r.Tolerance), field+".tolerance")
	}
	var policies []string
	for i := range r.Policies {
		p := &r.Policies[i]
		switch p.Type {
		case autoscaling.PodsScalingPolicy:
			policies = append(policies, fmt.Sprintf("%d pods/%s", p.Value, seconds(p.PeriodSeconds)))
		case autoscaling.PercentScalingPolicy:
			policies = append(policies, fmt.Sprintf("%d%%/%s", p.Value, seconds(p.PeriodSeconds)))
		default:
			t.gap(fmt.Sprintf("%s.policies[%d].type", field, i), string(p.Type), "is none of the HPA's: allowed are Pods and Percent")
		}
	}
	if len(policies) > 0 {
		t.set(prefix+"policies", strings.Join(policies, ", "), field+".policies")
	}
}

// seconds writes a number of seconds as a duration without empty units: 5m instead of 5m0s.
func seconds(n int32) string {
	text := (time.Duration(n) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// plainDecimal writes a quantity in plain digits: 50m is 0.05.
func plainDecimal(q *resource.Quantity) string {
	return trimZeros(q.AsDec().String())
}

// trimZeros drops zeros at the end behind the point.
func trimZeros(digits string) string {
	if !strings.Contains(digits, ".") {
		return digits
	}
	return strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
}

// thousandths writes a number of thousandths in plain digits.
func thousandths(n int64) string {
	if n < 0 {
		return "-" + thousandths(-n)
	}
	return trimZeros(fmt.Sprintf("%d.%03d", n/1000, n%1000))
}
