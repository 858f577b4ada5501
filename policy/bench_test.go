package policy

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDecide is one tick of a Deployment with one signal, 10 pods and windows full of different recommendations.
func BenchmarkDecide(b *testing.B) {
	spec, problems := Parse(map[string]string{
		Prefix + "enabled":                "true",
		Prefix + "max-replicas":           "100",
		Prefix + "target.gpu-utilization": "75",
		Prefix + "scale-up.stabilization": "1m",
	}, Settings{MaxSampleAge: 90 * time.Second, Interval: 15 * time.Second})
	if problems != nil {
		b.Fatal(problems)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := Observation{Replicas: 10, Readings: []Reading{{Signal: GPUUtilization}}}
	for i := range 10 {
		seen.Pods = append(seen.Pods, Pod{Name: fmt.Sprint("pod-", i), Phase: Ready})
		seen.Readings[0].Samples = append(seen.Readings[0].Samples, Sample{Value: 70 + float64(i), Time: now, OK: true})
	}
	state := State{Newest: Recommendation{Replicas: 10, Time: now.Add(-15 * time.Second)}}
	for i := range 20 {
		at := now.Add(time.Duration(i-21) * 15 * time.Second)
		state.Past = append(state.Past, Recommendation{Replicas: 9 + i%2*2, Time: at})
		state.Events = append(state.Events, ScaleEvent{Change: 1 - i%2*2, Time: now.Add(time.Duration(i-20) * time.Second)})
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(spec, state, seen, now)
	}
}
