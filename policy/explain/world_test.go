package explain

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

var testStart = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

const testInterval = 15 * time.Second

// parse reads annotations without their prefix.
func parse(t testing.TB, annotations map[string]string) policy.Spec {
	t.Helper()
	full := map[string]string{policy.Prefix + "enabled": "true"}
	for k, v := range annotations {
		full[policy.Prefix+k] = v
	}
	spec, problems := policy.Parse(full, policy.Settings{MaxSampleAge: 90 * time.Second, Interval: testInterval})
	if problems != nil {
		t.Fatal(problems)
	}
	return spec
}

// calm is a Deployment whose pods all read the same and have done so for a while.
func calm(spec policy.Spec, replicas int, values map[policy.Signal]float64) policy.Input {
	in := policy.Input{Time: testStart, Spec: spec, Seen: policy.Observation{Replicas: replicas}}
	for i := range replicas {
		in.Seen.Pods = append(in.Seen.Pods, policy.Pod{Name: fmt.Sprintf("llm-%d", i), Phase: policy.Ready, Served: true})
	}
	for _, info := range policy.Signals() {
		if v, ok := values[info.Signal]; ok {
			in.Seen.Readings = append(in.Seen.Readings, policy.Reading{Signal: info.Signal, Source: "test:" + string(info.Signal)})
			r := &in.Seen.Readings[len(in.Seen.Readings)-1]
			for range replicas {
				r.Samples = append(r.Samples, policy.Sample{Value: v, Time: testStart.Add(-4 * time.Second), OK: true})
			}
		}
	}
	in.State = policy.State{Newest: policy.Recommendation{Replicas: replicas, Time: testStart.Add(-testInterval)}, Seen: testStart.Add(-testInterval)}
	return in
}

// chaos makes a random Deployment and lets random things happen to it for some ticks. It returns what the last of them saw.
func chaos(t testing.TB, seed uint64) policy.Input {
	r := rand.New(rand.NewPCG(seed, 5))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	signals := []policy.Signal{policy.RunningRequests, policy.GPUUtilization, policy.QueueDepth, policy.TokensPerSecond, policy.TTFTP95}
	annotations := map[string]string{
		"min-replicas": pick("1", "2"), "max-replicas": pick("9", "30"),
		"target." + pick("running-requests", "gpu-utilization", "queue-depth", "tokens-per-second"): pick("10", "40"),
		"scale-down.stabilization": pick("0s", "1m", "5m"), "scale-up.stabilization": pick("0s", "0s", "45s"),
		"scale-up.policies": pick("4 pods/15s, 100%/15s", "2 pods/1m"), "max-pending": pick("0", "1", "all"),
	}
	if r.IntN(3) == 0 {
		annotations["steps.ttft-p95"] = ">2:+1, >4:+50%, <0.5:-1"
	}
	in := calm(parse(t, annotations), 2+r.IntN(5), nil)
	in.State = policy.State{}
	for tick := range 1 + r.IntN(40) {
		in.Time = testStart.Add(time.Duration(tick) * testInterval)
		if tick > 0 {
			d, next := in.Decide()
			in.State, in.Seen.Replicas = next.Wrote(d, in.Time), d.Desired
		}
		happen(&in, r, signals)
	}
	return in
}

// happen makes the next observation.
func happen(in *policy.Input, r *rand.Rand, signals []policy.Signal) {
	o := &in.Seen
	for len(o.Pods) < o.Replicas {
		o.Pods = append(o.Pods, policy.Pod{Name: fmt.Sprintf("llm-%d", len(o.Pods)), Phase: policy.Phase(r.IntN(3)), Since: in.Time, Scheduled: in.Time})
	}
	o.Pods = o.Pods[:o.Replicas]
	for i := range o.Pods {
		if p := &o.Pods[i]; p.Phase != policy.Ready && r.IntN(4) == 0 {
			p.Phase, p.Since, p.Scheduled, p.Served = policy.Ready, in.Time, in.Time, true
		}
	}
	o.Hand = policy.Hand{By: policy.OurHand, Time: in.Time}
	o.FreeKnown, o.Free = r.IntN(2) == 0, r.IntN(4)
	o.Readings = nil
	for _, s := range signals {
		if r.IntN(6) == 0 {
			continue
		}
		reading := policy.Reading{Signal: s}
		level := r.Float64() * 60
		if s == policy.TTFTP95 {
			level /= 10
		}
		for range o.Pods {
			sample := policy.Sample{Value: level * (0.5 + r.Float64()), OK: r.IntN(8) > 0}
			if r.IntN(2) == 0 {
				sample.Time = in.Time.Add(-time.Duration(r.IntN(80)) * time.Second)
			}
			sample.Value, _ = s.InRange(sample.Value)
			reading.Samples = append(reading.Samples, sample)
		}
		o.Readings = append(o.Readings, reading)
	}
}
