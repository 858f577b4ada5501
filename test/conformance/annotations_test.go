package conformance

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// TestAnnotations writes the policies of scenarios as annotations and wants to read the very numbers back with which
// the HPA reckons.
func TestAnnotations(t *testing.T) {
	for seed := range uint64(2000) {
		s := newScenario(seed)
		annotations := s.annotations()
		spec, problems := policy.Parse(annotations, policy.Settings{MaxSampleAge: s.spec.MaxSampleAge, Interval: s.spec.Interval})
		if len(problems) > 0 {
			t.Fatalf("seed %d: %v", seed, problems)
		}
		for _, c := range []struct {
			name      string
			got, want any
		}{
			{"bounds", [2]int{spec.MinReplicas, spec.MaxReplicas}, [2]int{s.spec.MinReplicas, s.spec.MaxReplicas}},
			{"targets", targets(spec.Targets), targets(s.spec.Targets)},
			{"scale-up", spec.ScaleUp, s.spec.ScaleUp},
			{"scale-down", spec.ScaleDown, s.spec.ScaleDown},
		} {
			if !reflect.DeepEqual(c.got, c.want) {
				t.Fatalf("seed %d: %s of %v is %+v, want %+v", seed, c.name, annotations, c.got, c.want)
			}
		}
	}
}

// targets returns the targets whatever their order.
func targets(list []policy.Target) map[policy.Signal]float64 {
	values := map[policy.Signal]float64{}
	for _, target := range list {
		values[target.Signal] = target.Value
	}
	return values
}

// annotations writes the policy as a person would.
func (s *scenario) annotations() map[string]string {
	text := map[string]string{
		"enabled":      "true",
		"min-replicas": strconv.Itoa(s.spec.MinReplicas),
		"max-replicas": strconv.Itoa(s.spec.MaxReplicas),
	}
	for _, target := range s.spec.Targets {
		text["target."+string(target.Signal)] = strconv.FormatFloat(target.Value, 'f', -1, 64)
		if _, builtIn := target.Signal.Info(); !builtIn {
			text["query."+string(target.Signal)] = "some-query"
		}
	}
	for i, rules := range []*policy.Rules{&s.spec.ScaleUp, &s.spec.ScaleDown} {
		direction := [...]string{"scale-up.", "scale-down."}[i]
		text[direction+"stabilization"] = rules.StabilizationWindow.String()
		text[direction+"select-policy"] = [...]string{"max", "min", "disabled"}[rules.SelectPolicy]
		text[direction+"policies"] = policies(rules.Policies)
		// Thousandths are tenths of a percent.
		text[direction+"tolerance"] = pick(s.rng, decimal(s.tolerances[i], 3), decimal(s.tolerances[i], 1)+"%")
	}
	result := map[string]string{}
	for key, value := range text {
		result[policy.Prefix+key] = value
	}
	return result
}

// policies writes scaling policies.
func policies(list []policy.ScalingPolicy) string {
	var parts []string
	for _, p := range list {
		amount := fmt.Sprintf("%d%%", p.Value)
		if p.Type == policy.Pods {
			amount = fmt.Sprintf("%d pods", p.Value)
		}
		parts = append(parts, amount+"/"+p.Period.String())
	}
	return strings.Join(parts, ", ")
}

// decimal writes an integer with so many of its digits behind the point.
func decimal(v, digits int) string {
	text := fmt.Sprintf("%0*d", digits+1, v)
	return text[:len(text)-digits] + "." + text[len(text)-digits:]
}
