package fleet

import (
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rigAgent is an agent that samples only when the test does.
func rigAgent(t *testing.T, f *Fleet, n *node, hostPID bool) *agent {
	t.Helper()
	pod := agentPod(n.name, hostPID)
	delete(pod.Annotations, Engine)
	pod.Name, pod.UID = "agent", "agent"
	a := newAgent(place(t, n, f, pod), pod)
	a.cancel = func() {}
	return a
}

// exposed is what an agent says, by series: name and the labels that tell series apart here.
func exposed(t *testing.T, a *agent) map[string]float64 {
	t.Helper()
	recorder := httptest.NewRecorder()
	a.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	return seriesOf(t, recorder.Body.Bytes())
}

func seriesOf(t *testing.T, text []byte) map[string]float64 {
	t.Helper()
	series := map[string]float64{}
	for name, family := range parse(t, text) {
		for _, m := range family.GetMetric() {
			key := strings.TrimPrefix(name, "gpuscaler_nvml_") + " " + label(m, "index") + " " + label(m, "pod") + " " + label(m, "window")
			series[strings.Join(strings.Fields(key), " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return series
}

func label(m *dto.Metric, name string) string {
	i := slices.IndexFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == name })
	if i < 0 {
		return ""
	}
	return m.GetLabel()[i].GetValue()
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }

func wantSeries(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for key, value := range want {
		v, ok := got[key]
		switch {
		case value == Absent && ok:
			t.Errorf("there is %s = %v", key, v)
		case value != Absent && (!ok || !near(v, value)):
			t.Errorf("%s is %v (there: %t), want %v in %v", key, v, ok, value, got)
		}
	}
}

func TestAgentLines(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 2, 1)
	f.Drive("ml", "llm-1", NewFixed(Reading{GPUUtilization: 87.4, GPUMemoryUsed: 70000}))
	rigPod(t, n, f, "llm-1", nil)
	a := rigAgent(t, f, n, false)
	synctest.Test(t, func(t *testing.T) {
		a.sample(time.Now())
		time.Sleep(1500 * time.Millisecond)
		recorder := httptest.NewRecorder()
		a.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
		text := recorder.Body.Bytes()
		held := `container="server",index="0",mig_profile="",model="NVIDIA H100 80GB HBM3",namespace="ml",pod="llm-1",uuid="` + uuid("gpu-0", 0) + `"`
		wantLines(t, text, `_ratio{`+held, `gpuscaler_nvml_gpu_utilization_ratio{`+held+`,window="15s"} 0.87`,
			`gpuscaler_nvml_gpu_utilization_ratio{`+held+`,window="1s"} 0.87`, `gpuscaler_nvml_gpu_utilization_ratio{`+held+`,window="5s"} 0.87`)
		wantLines(t, text, `{`+held+`}`, `gpuscaler_nvml_memory_reserved_bytes{`+held+`} 5.77765376e+08`,
			`gpuscaler_nvml_memory_total_bytes{`+held+`} 8.5520809984e+10`, `gpuscaler_nvml_sample_timestamp_seconds{`+held+`} 9.466848e+08`)
		free := `container="",index="1",mig_profile="",model="NVIDIA H100 80GB HBM3",namespace="",pod="",uuid="` + uuid("gpu-0", 1) + `"`
		wantLines(t, text, `{`+free+`,window="5s"`, `gpuscaler_nvml_gpu_utilization_ratio{`+free+`,window="5s"} 0`,
			`gpuscaler_nvml_memory_used_bytes{`+free+`,window="5s"} 0`, `gpuscaler_nvml_power_watts{`+free+`,window="5s"} 71.5`)
		wantLines(t, text, "time_seconds 9", "gpuscaler_nvml_time_seconds 9.466848015e+08")
		wantLines(t, text, "nvml_up 1", "gpuscaler_nvml_up 1")
	})
}

func TestAgentMeansOverWindows(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 2, 1)
	model := NewFixed(Reading{})
	f.Drive("ml", "a", model)
	rigPod(t, n, f, "a", nil)
	a := rigAgent(t, f, n, false)
	synctest.Test(t, func(t *testing.T) {
		for i := range 20 { // 0, 5, 10 ... 95 %
			model.SetAll(Reading{GPUUtilization: float64(5 * i)})
			a.sample(time.Now())
			time.Sleep(time.Second)
		}
		wantSeries(t, exposed(t, a), map[string]float64{
			"gpu_utilization_ratio 0 a 1s": 0.95, "gpu_utilization_ratio 0 a 5s": 0.85, "gpu_utilization_ratio 0 a 15s": 0.6,
			"gpu_utilization_ratio 1 1s": 0,
		})
		model.SetAll(Reading{GPUUtilization: Absent})
		for range 5 {
			a.sample(time.Now())
		}
		wantSeries(t, exposed(t, a), map[string]float64{
			"gpu_utilization_ratio 0 a 1s": Absent, "gpu_utilization_ratio 0 a 5s": Absent, "memory_used_bytes 0 a 1s": 0,
		})
	})
}

func TestAgentForgetsWhatAnotherPodUsed(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	f.Drive("ml", "a", NewFixed(Reading{GPUUtilization: 100}))
	f.Drive("ml", "b", NewFixed(Reading{GPUUtilization: 10}))
	one := rigPod(t, n, f, "a", nil)
	a := rigAgent(t, f, n, false)
	a.sample(time.Now())
	leave(one)
	rigPod(t, n, f, "b", nil)
	a.sample(time.Now())
	wantSeries(t, exposed(t, a), map[string]float64{
		"gpu_utilization_ratio 0 a 15s": Absent, "gpu_utilization_ratio 0 b 15s": 0.1,
	})
	f.ForgetPods(true)
	a.sample(time.Now())
	wantSeries(t, exposed(t, a), map[string]float64{"gpu_utilization_ratio 0 b 1s": Absent, "gpu_utilization_ratio 0 1s": 0.1})
}

func TestAgentDoesNotAscribeASharedGPU(t *testing.T) {
	for _, hostPID := range []bool{false, true} {
		f := rig(t, Options{})
		n := rigNode(t, f, 1, 2)
		f.Drive("ml", "a", NewFixed(Reading{GPUUtilization: 30, GPUMemoryUsed: 1024}))
		f.Drive("ml", "b", NewFixed(Reading{GPUUtilization: 50, GPUMemoryUsed: 2048}))
		rigPod(t, n, f, "a", nil)
		a := rigAgent(t, f, n, hostPID)
		a.sample(time.Now())
		wantSeries(t, exposed(t, a), map[string]float64{"gpu_utilization_ratio 0 a 1s": 0.3, "gpu_utilization_ratio 0 1s": Absent})
		rigPod(t, n, f, "b", nil)
		a.sample(time.Now())
		want := map[string]float64{
			"gpu_utilization_ratio 0 1s": 0.8, "memory_used_bytes 0 1s": 3 << 30, "power_watts 0 a 1s": Absent, "memory_reserved_bytes 0 a": Absent,
			"gpu_utilization_ratio 0 a 1s": Absent, "gpu_utilization_ratio 0 b 1s": Absent, "memory_used_bytes 0 b 1s": Absent,
		}
		if hostPID {
			want["gpu_utilization_ratio 0 a 1s"], want["gpu_utilization_ratio 0 b 1s"] = 0.3, 0.5
			want["memory_used_bytes 0 b 1s"], want["memory_total_bytes 0 b"] = 2<<30, 81559<<20
		}
		wantSeries(t, exposed(t, a), want)
	}
}

func TestAgentFaults(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	f.Drive("ml", "a", NewFixed(Reading{GPUUtilization: 50}))
	rigPod(t, n, f, "a", nil)
	a := rigAgent(t, f, n, false)
	synctest.Test(t, func(t *testing.T) {
		const series = "gpu_utilization_ratio 0 a 1s"
		sample := func(mode string, seconds int) map[string]float64 {
			order(a.run, Hostile, mode)
			for range seconds {
				time.Sleep(time.Second)
				a.sample(time.Now())
			}
			return exposed(t, a)
		}
		wantSeries(t, sample("", 1), map[string]float64{series: 0.5, "up": 1})
		wantSeries(t, sample(HostileStale, 5), map[string]float64{series: 0.5, "errors_total": 5})
		wantSeries(t, sample(HostileStale, 1), map[string]float64{series: Absent, "memory_used_bytes 0 a 1s": Absent, "errors_total": 6, "up": 1})
		wantSeries(t, sample(HostileAbsurd, 1), map[string]float64{series: Blank})
		wantSeries(t, sample(HostileNegative, 1), map[string]float64{series: -1})
		wantSeries(t, sample(HostileNoDriver, 1), map[string]float64{series: Absent, "up": 0})
		wantSeries(t, sample("", 1), map[string]float64{series: 0.5, "up": 1})
	})
}

// The agent's pod is one like others, with an address of its own.
func TestAgentServesInItsPod(t *testing.T) {
	f := rig(t, Options{})
	n := rigNode(t, f, 1, 1)
	rigPod(t, n, f, "a", nil)
	pod := agentPod("gpu-0", false)
	pod.ObjectMeta = metav1.ObjectMeta{Namespace: pod.Namespace, Name: "agent", UID: "agent", Labels: pod.Labels, Annotations: pod.Annotations}
	run := place(t, n, f, pod)
	url := "http://" + instance(run.ip, AgentPort) + "/metrics"
	deadline := time.Now().Add(5 * time.Second)
	for !strings.Contains(string(scrape(t, url)), `gpuscaler_nvml_gpu_utilization_ratio{container="server"`) {
		if time.Now().After(deadline) {
			t.Fatalf("no sample in\n%s", scrape(t, url))
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got := f.Targets(SourceAgent); len(got) != 1 || got[0].Addr != instance(run.ip, AgentPort) || len(f.Targets(SourceVLLM)) > 0 {
		t.Errorf("targets are %v", got)
	}
	order(run, Hostile, HostileJSON)
	if body := scrape(t, url); !strings.HasPrefix(string(body), "{") {
		t.Errorf("as a hostile one it says %s", body)
	}
	order(run, Hostile, "")
	run.listen(false)
	run.listen(true)
	scrape(t, url)
}
