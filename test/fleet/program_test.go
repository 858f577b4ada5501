package fleet

import (
	"math"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// agentProgram builds the agent, or skips the test where that is not possible.
func agentProgram(t *testing.T) *AgentProgram {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc: the agent needs cgo")
	}
	p, err := BuildAgent(t.Context(), "../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// programPod puts the agent's pod on a node.
func programPod(t *testing.T, f *Fleet, n *node, hostPID bool) (run *podRun, url string) {
	t.Helper()
	pod := agentPod(n.name, hostPID)
	pod.Name, pod.UID = "agent", "agent"
	run = place(t, n, f, pod)
	return run, "http://" + instance(run.ip, AgentPort) + "/metrics"
}

// waitExposed waits until an agent says what is wanted.
func waitExposed(t *testing.T, url string, want map[string]float64) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		got := seriesOf(t, scrape(t, url))
		wrong := ""
		for key, value := range want {
			v, ok := got[key]
			if ok != (value != Absent) || ok && !near(v, value) {
				wrong = key
			}
		}
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			wantSeries(t, got, want)
			t.Fatalf("%s is not as wanted", wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAgentProgram(t *testing.T) {
	program := agentProgram(t)
	t.Run("follows the fleet", func(t *testing.T) { programFollows(t, program) })
	t.Run("divides a shared GPU", func(t *testing.T) { programDivides(t, program) })
}

func programFollows(t *testing.T, program *AgentProgram) {
	f := rig(t, Options{Tick: 20 * time.Millisecond, AgentProgram: program})
	n := rigNode(t, f, 2, 1)
	model := NewFixed(Reading{GPUUtilization: 87, GPUMemoryUsed: 70000})
	f.Drive("ml", "a", model)
	rigPod(t, n, f, "a", nil)
	run, url := programPod(t, f, n, false)
	waitExposed(t, url, map[string]float64{
		"up": 1, "gpu_utilization_ratio 0 a 1s": 0.87, "gpu_utilization_ratio 1 1s": 0, "memory_used_bytes 0 a 1s": 70000 << 20,
		"memory_total_bytes 0 a": 81559 << 20, "memory_reserved_bytes 0 a": 551 << 20, "power_watts 1 1s": 71.5,
	})
	model.SetAll(Reading{GPUUtilization: Absent, GPUMemoryUsed: 70000})
	waitExposed(t, url, map[string]float64{"gpu_utilization_ratio 0 a 1s": Absent, "memory_used_bytes 0 a 1s": 70000 << 20})
	run.listen(false)
	if _, err := get(t, url); err == nil {
		t.Error("a killed agent answers")
	}
	model.SetAll(Reading{GPUUtilization: 40})
	run.listen(true)
	waitExposed(t, url, map[string]float64{"gpu_utilization_ratio 0 a 15s": 0.4})
}

func programDivides(t *testing.T, program *AgentProgram) {
	f := rig(t, Options{Tick: 20 * time.Millisecond, AgentProgram: program})
	n := rigNode(t, f, 1, 2)
	for name, utilization := range map[string]float64{"a": 30, "b": 50} {
		f.Drive("ml", name, NewFixed(Reading{GPUUtilization: utilization, GPUMemoryUsed: 1024}))
		place(t, n, f, &corev1.Pod{
			ObjectMeta: metaOf(name, types.UID("4c0ba1a8-0000-4000-8000-00000000000"+name)),
			Spec:       corev1.PodSpec{Containers: []corev1.Container{container("server", 1)}},
		})
	}
	_, url := programPod(t, f, n, true)
	waitExposed(t, url, map[string]float64{
		"gpu_utilization_ratio 0 1s": 0.8, "gpu_utilization_ratio 0 a 1s": 0.3, "gpu_utilization_ratio 0 b 1s": 0.5, "memory_used_bytes 0 b 1s": 1 << 30,
	})
}

func TestDriverReadings(t *testing.T) {
	for _, c := range []struct {
		mode        string
		utilization float64
		part        string
		want        []string
	}{
		{"", 49.6, "utilization", []string{"gpu1.utilization=50"}},
		{"", Blank, "utilization", []string{"gpu1.utilization=4294967295"}},
		{"", Absent, "utilization", []string{"gpu1.utilization.return=3"}},
		{"", math.NaN(), "utilization", []string{"gpu1.utilization.return=3"}},
		{HostileStale, 50, "utilization", []string{"gpu1.utilization.hang=1"}},
		{"", 50, "init", nil},
		{HostileNoDriver, 50, "init", []string{"init.return=9"}},
		{"", 50, "memory", []string{"gpu1.memory.total=85520809984", "gpu1.memory.reserved=577765376", "gpu1.memory.used=1048576"}},
	} {
		wantLines(t, nvmlReadings(H100, c.mode, []device{{index: 1, utilization: c.utilization, memoryUsed: 1}}, epoch), c.part, c.want...)
	}
	held := []device{{holders: []holder{
		{run: &podRun{pid: 7}, utilization: 30, memoryUsed: 1}, {run: &podRun{pid: 8}, memoryUsed: 2},
	}}}
	wantLines(t, nvmlReadings(H100, "", held, epoch), "processes=", "gpu0.processes=7:1048576,8:2097152")
	wantLines(t, nvmlReadings(H100, "", held, epoch), "use=", "gpu0.use=1767225600000000:7:30")
}
