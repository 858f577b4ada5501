package sampler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

var (
	podA  = pods.Pod{Namespace: "ml", Name: "a"}
	podB  = pods.Pod{Namespace: "ml", Name: "b"}
	other = pods.Pod{Namespace: "gpu", Name: "mps-server"}
	both  = []pods.Holder{{Pod: podA, Container: "c"}, {Pod: podB, Container: "c"}}
)

// TestDivide: processes 1 and 2 are of pod a, 3 of pod b, 8 of a pod that does not hold the device, 9 of none.
func TestDivide(t *testing.T) {
	of := map[uint32]pods.Pod{1: podA, 2: podA, 3: podB, 8: other}
	for _, c := range []struct {
		name      string
		processes []nvml.Process
		seeAll    bool
		mig       bool
		want      map[pods.Pod]share
	}{
		{name: "nothing is seen", want: map[pods.Pod]share{}},
		{name: "there is nothing", seeAll: true, want: map[pods.Pod]share{podA: {}, podB: {}}},
		{
			name:      "processes of a pod are added up",
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0.25}, {PID: 2, Memory: 5, Utilization: 0.5}, {PID: 3, Memory: 20, Utilization: 0}},
			want:      map[pods.Pod]share{podA: {0.75, 15}, podB: {0, 20}},
		},
		{
			name:      "a pod whose processes are not seen is absent",
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0.25}},
			want:      map[pods.Pod]share{podA: {0.25, 10}},
		},
		{
			name: "a pod without a process uses nothing", seeAll: true,
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0.25}},
			want:      map[pods.Pod]share{podA: {0.25, 10}, podB: {0, 0}},
		},
		{
			name: "unless one is somebody's", seeAll: true,
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0.25}, {PID: 9, Memory: 10, Utilization: 0}},
			want:      map[pods.Pod]share{podA: {0.25, 10}},
		},
		{
			name: "a stranger who computes may do it for anyone", seeAll: true,
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0}, {PID: 8, Memory: 10, Utilization: 0.9}},
			want:      map[pods.Pod]share{podA: {nan, 10}},
		},
		{
			name:      "so may one of whom it is not known",
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0}, {PID: 8, Memory: 10, Utilization: nan}},
			want:      map[pods.Pod]share{podA: {nan, 10}},
		},
		{
			name: "what is not known of one process is not known of its pod", seeAll: true,
			processes: []nvml.Process{{PID: 1, Memory: nan, Utilization: 0.25}, {PID: 2, Memory: 5, Utilization: nan}, {PID: 3, Memory: 20, Utilization: 0.1}},
			want:      map[pods.Pod]share{podA: {nan, nan}, podB: {0.1, 20}},
		},
		{
			name:      "the driver rounds",
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: 0.51}, {PID: 2, Memory: 5, Utilization: 0.51}},
			want:      map[pods.Pod]share{podA: {1.02, 15}},
		},
		{
			name:      "a sum that cannot be",
			processes: []nvml.Process{{PID: 1, Memory: 60, Utilization: 0.9}, {PID: 2, Memory: 60, Utilization: 0.9}},
			want:      map[pods.Pod]share{podA: {nan, nan}},
		},
		{
			name: "of MIG devices only the memory is known", seeAll: true, mig: true,
			processes: []nvml.Process{{PID: 1, Memory: 10, Utilization: nan}},
			want:      map[pods.Pod]share{podA: {nan, 10}, podB: {nan, 0}},
		},
	} {
		got := divide(c.processes, both, processes{of, c.seeAll}, c.mig, 100)
		for pod, want := range c.want {
			s, ok := got[pod]
			if !ok || !same([]float64{s.utilization, s.memory}, []float64{want.utilization, want.memory}) {
				t.Errorf("%s: pod %s has %v, %t, want %v", c.name, pod.Name, s, ok, want)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: there are shares %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSharing samples a GPU that two pods share: the device's series is nobody's, each pod has its own, and one that
// cannot be told goes instead of becoming 0.
func TestSharing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{holders: pods.Holders{"GPU-0": both}, processes: processes{pods: map[uint32]pods.Pod{1: podA, 3: podB}}}
		d := n.gpu(0)
		d.utilization = 0.9
		d.processes = []nvml.Process{{PID: 1, Memory: 10, Utilization: 0.6}, {PID: 3, Memory: 20, Utilization: 0.2}}
		s := n.start(t)
		wait(20500 * time.Millisecond)
		for pod, want := range map[string]float64{"": 0.9, "a": 0.6, "b": 0.2} {
			if got := utilizations(t, s, "GPU-0", pod); !same(got, []float64{want, want, want}) {
				t.Errorf("pod %q has %v, want %v", pod, got, want)
			}
		}
		if a := find(t, s, "GPU-0", "a"); a.Means[0].Used != 10 || a.Total != 100 || !same([]float64{a.Reserved, a.Means[0].Power}, []float64{nan, nan}) {
			t.Errorf("pod a has %+v, want its memory, the device's total and neither power nor what is reserved", a)
		}
		n.set(func() { delete(n.processes.pods, 3) })
		wait(6 * time.Second)
		if b := find(t, s, "GPU-0", "b"); b != nil {
			t.Errorf("pod b, of which nothing is known any more, has %+v", b)
		}
		n.set(func() { n.holders = nil })
		wait(time.Second)
		calls, _ := d.asked(nvml.CallProcesses)
		wait(10 * time.Second)
		if again, _ := d.asked(nvml.CallProcesses); again != calls {
			t.Error("the processes of a GPU that nobody shares are asked for")
		}
	})
}
