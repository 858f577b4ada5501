package policy

import (
	"strings"
	"testing"
)

// During a rollout the load of all ready pods is divided by spec.replicas.
func TestRolloutNeitherRaisesNorLowers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pods  string // r: ready and read, m: ready without a sample, l: loading
		value float64
		want  int
	}{
		{"4 as before", "rrrr", 10, 4},
		{"a surge pod that serves shares the load", "rrrrr", 8, 4},
		{"a surge pod that loads is no capacity on its way", "rrrrl", 10, 4},
		{"a surge pod that shows nothing yet", "rrrrm", 10, 4},
		{"one less serves, and the others do its work", "rrrl", 40.0 / 3, 4},
		{"one less serves, and its work is not seen", "rrrl", 10, 4},
		{"true demand raises", "rrrrl", 15, 6},
		{"true demand raises with fewer", "rrrl", 20, 6},
		{"true idleness lowers", "rrrrl", 2, 1},
		{"idleness lowers with those that are not ready at target", "rrrl", 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t, 4, map[string]string{"max-replicas": "20", "target.running-requests": "10", "scale-down.stabilization": "0s"})
			o := c.look(running(tt.value))
			o.Rollout, o.Pods, o.Readings[0].Samples = true, nil, nil
			for _, p := range tt.pods {
				pod, sample := Pod{Phase: Ready}, Sample{Value: tt.value, Time: c.now, OK: p == 'r'}
				if p == 'l' {
					pod = Pod{Phase: Loading, Scheduled: c.now}
				}
				if p == 'm' {
					pod.Since = c.now
				}
				o.Pods, o.Readings[0].Samples = append(o.Pods, pod), append(o.Readings[0].Samples, sample)
			}
			if d := c.tick(o); d.Desired != tt.want {
				t.Errorf("%d, want %d (%s)", d.Desired, tt.want, d.Message())
			}
		})
	}
}

// While no pod of the newest template comes up it gets no more of them. Lowering goes on.
func TestCrashLoopIsNotFed(t *testing.T) {
	c := newCluster(t, 4, map[string]string{"max-replicas": "20", "target.running-requests": "10", "scale-down.stabilization": "0s"})
	c.edit = func(o *Observation) { o.CrashLoop = "ImagePullBackOff" }
	d := c.tick(c.look(running(50)))
	if d.Desired != 4 || d.Reason != CrashLoop || len(d.Notes) != 1 || !strings.Contains(d.Notes[0].Text, "ImagePullBackOff") {
		t.Errorf("%d %s %v, want 4 CrashLoop", d.Desired, d.Reason, d.Notes)
	}
	c.expect("less to do", running(5), 2)
	c.edit = nil
	c.expect("it comes up", running(50), 6)
}
