package fleet

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var loopbackVLLM = map[string]string{Address: AddressLoopback, Engine: EngineVLLM}

func TestLoopbackPodAnswersAtItsOwnAddress(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 4, 1)
	f.Drive("ml", "a", NewFixed(Reading{Waiting: 7}))
	f.Drive("ml", "b", NewFixed(Reading{Waiting: 9}))
	a, b := rigPod(t, n, f, "a", loopbackVLLM), rigPod(t, n, f, "b", loopbackVLLM)
	other := rigPod(t, n, f, "other", map[string]string{Engine: EngineVLLM})
	if a.ip == b.ip || !strings.HasPrefix(a.ip, fmt.Sprintf("127.%d.1.", f.block)) {
		t.Errorf("addresses are %s and %s, want two in 127.%d.1.0/24", a.ip, b.ip, f.block)
	}
	if !strings.HasPrefix(other.ip, "10.244.1.") {
		t.Errorf("the address of a pod that asks for none is %s, want one of the cluster", other.ip)
	}
	for run, want := range map[*podRun]float64{a: 7, b: 9} {
		families := parse(t, scrape(t, "http://"+instance(run.ip, 8000)+"/metrics"))
		if got := families["vllm:num_requests_waiting"].GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("pod %s reads %v at its own address, want %v", run.name.Name, got, want)
		}
	}
	targets := f.Targets(SourceVLLM)
	if len(targets) != 3 || targets[1].Addr != instance(a.ip, 8000) || targets[1].Addr != targets[1].Labels["instance"] {
		t.Errorf("targets are %+v, want 3 with a's own address as the second", targets)
	}
	leave(a)
	if _, err := get(t, "http://"+instance(a.ip, 8000)+"/metrics"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a pod that is gone: %v, want refused", err)
	}
	if c := rigPod(t, n, f, "c", loopbackVLLM); c.ip == a.ip {
		t.Errorf("the address %s is used again at once", c.ip)
	}
}

func TestLoopbackPodListensOnItsContainersPort(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	c := container("server", 1)
	c.Ports = []corev1.ContainerPort{{ContainerPort: 30000}}
	run := place(t, n, f, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "a", Annotations: loopbackVLLM}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}},
	})
	scrape(t, "http://"+instance(run.ip, 30000)+"/metrics")
}

func TestUnknownAnnotationsAreNamed(t *testing.T) {
	var said []string
	f := rig(t, Options{Log: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }})
	n := rigNode(t, f, 1, 1)
	run := rigPod(t, n, f, "a", map[string]string{Address: "public", Engine: "sglang"})
	if !strings.HasPrefix(run.ip, "10.244.") || len(f.Targets(SourceVLLM)) > 0 {
		t.Errorf("address is %s and targets are %v", run.ip, f.Targets(SourceVLLM))
	}
	want := `pod ml/a: annotation fleet.test/address is "public", want loopback or nothing
starting the engine of pod ml/a: annotation fleet.test/engine is "sglang", want vllm, nvml-agent or none`
	if got := strings.Join(said, "\n"); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
}

func TestFleetsOfOneMachineDoNotShareAddresses(t *testing.T) {
	a, b := rig(t, Options{}), rig(t, Options{})
	if a.block == b.block {
		t.Fatalf("both have 127.%d", a.block)
	}
	a.Stop()
	if c := rig(t, Options{}); c.block == b.block {
		t.Errorf("a third has 127.%d too", c.block)
	}
}

func TestSlicedGPUIsShared(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 2, 2)
	for name, utilization := range map[string]float64{"a": 30, "b": 50, "c": 90} {
		f.Drive("ml", name, NewFixed(Reading{GPUUtilization: utilization, GPUMemoryUsed: 1000}))
	}
	for _, name := range []string{"a", "b", "c"} { // c comes to a's GPU
		rigPod(t, n, f, name, nil)
	}
	devices := f.devices(n)
	if d := devices[0]; d.utilization != 100 || d.memoryUsed != 2000 || len(d.holders) != 2 || d.pod.Name != "c" {
		t.Errorf("the shared GPU is %+v, want 100%% and 2000 MiB of a and c, the last of which it is ascribed to", d)
	}
	if d := devices[1]; d.utilization != 50 || len(d.holders) != 1 || d.pod.Name != "b" {
		t.Errorf("the other GPU is %+v, want b's", d)
	}
	if got := f.nodeObject(n).Status.Allocatable[GPUResource]; got.Value() != 4 {
		t.Errorf("the node has %s GPUs to give, want 4", got.String())
	}
}

func TestSharesAddUp(t *testing.T) {
	for _, c := range []struct{ a, b, want float64 }{
		{30, 40, 70}, {70, 60, 100}, {Absent, 50, Absent}, {50, Absent, Absent}, {Blank, 10, Blank}, {0, Blank, Blank},
	} {
		if got := together(c.a, c.b); got != c.want {
			t.Errorf("%v and %v are %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
