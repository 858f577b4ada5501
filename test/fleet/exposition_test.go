package fleet

import (
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/types"
)

func lines(t *testing.T, text []byte, part string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, part) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

func wantLines(t *testing.T, text []byte, part string, want ...string) {
	t.Helper()
	if got := strings.Join(lines(t, text, part), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("lines with %q are\n%s\nwant\n%s", part, got, strings.Join(want, "\n"))
	}
}

// parse reads the text as Prometheus' own library does.
func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

func TestDCGMLinesAreThoseOfTheExporter(t *testing.T) {
	owned := device{
		index: 0, uuid: "GPU-c2f76b33-7953-256e-8f33-1343419b1a1c", utilization: 97.4, memoryUsed: 70000, energy: 4742776,
		pod: types.NamespacedName{Namespace: "ml", Name: "llm-1"}, container: "server",
	}
	free := device{index: 1, uuid: "GPU-d7cbb0cd-d4bd-c2f7-dfaf-221df5e958ea"}
	text := exposeDCGM(H100, "gpu-0", []device{owned, free})
	wantLines(t, text, "DCGM_FI_DEV_GPU_UTIL",
		`# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).`,
		`# TYPE DCGM_FI_DEV_GPU_UTIL gauge`,
		`DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-c2f76b33-7953-256e-8f33-1343419b1a1c",pci_bus_id="00000000:18:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-0",DCGM_FI_DRIVER_VERSION="580.105.08",container="server",namespace="ml",pod="llm-1"} 97`,
		`DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-d7cbb0cd-d4bd-c2f7-dfaf-221df5e958ea",pci_bus_id="00000000:29:00.0",device="nvidia1",modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-0",DCGM_FI_DRIVER_VERSION="580.105.08"} 0`,
	)
	wantLines(t, text, `XID_ERRORS{gpu="0"`,
		`DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-c2f76b33-7953-256e-8f33-1343419b1a1c",pci_bus_id="00000000:18:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",Hostname="gpu-0",DCGM_FI_DRIVER_VERSION="580.105.08",container="server",err_code="0",err_msg="No Error",namespace="ml",pod="llm-1"} 0`)
	for field, want := range map[string]string{
		"DCGM_FI_PROF_GR_ENGINE_ACTIVE": "0.974000", "DCGM_FI_DEV_FB_USED": "70000", "DCGM_FI_DEV_FB_FREE": "11008",
		"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": "4742776", "DCGM_FI_DEV_POWER_USAGE": "625.219000",
	} {
		got := lines(t, text, field+`{gpu="0"`)
		if len(got) != 1 || !strings.HasSuffix(got[0], " "+want) {
			t.Errorf("%s is %q, want it to end in %s", field, got, want)
		}
	}
	families := parse(t, text)
	if len(families) != 25 {
		t.Errorf("%d families, want the 25 default counters", len(families))
	}
	for name, family := range families {
		if len(family.Metric) != 2 {
			t.Errorf("%s has %d series, want one per GPU", name, len(family.Metric))
		}
	}
}

func TestDCGMPassesImpossibleValuesOn(t *testing.T) {
	for name, c := range map[string]struct {
		utilization  float64
		util, active string
	}{
		"blank":  {Blank, "4294967295", ""},
		"nan":    {math.NaN(), "NaN", "NaN"},
		"absent": {Absent, "", ""},
	} {
		text := exposeDCGM(H100, "gpu-0", []device{{utilization: c.utilization}})
		parse(t, text)
		for field, want := range map[string]string{"DCGM_FI_DEV_GPU_UTIL": c.util, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": c.active} {
			got := lines(t, text, field)
			if want == "" && len(got) > 0 || want != "" && (len(got) != 3 || !strings.HasSuffix(got[2], " "+want)) {
				t.Errorf("%s: %s is %q, want value %q", name, field, got, want)
			}
		}
	}
}

func TestVLLMLinesAreThoseOfThePythonLibrary(t *testing.T) {
	load := newEngineLoad()
	load.Running, load.Waiting, load.KVCache = 3, 7, 0.4375
	load.PromptTokens, load.Finished = 12345678, 2.7
	load.TTFT.Observe(0.02, 1) // on a bound: it counts in that bucket
	load.TTFT.Observe(3, 1)
	text := exposeVLLM("Qwen/Qwen3-8B", time.UnixMicro(1700000000250000), load)
	wantLines(t, text, "vllm:num_requests_waiting",
		`# HELP vllm:num_requests_waiting Number of requests waiting to be processed.`,
		`# TYPE vllm:num_requests_waiting gauge`,
		`vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 7.0`,
		`# HELP vllm:num_requests_waiting_by_reason Number of waiting requests by reason.`,
		`# TYPE vllm:num_requests_waiting_by_reason gauge`,
		`vllm:num_requests_waiting_by_reason{engine="0",model_name="Qwen/Qwen3-8B",reason="capacity"} 7.0`,
		`vllm:num_requests_waiting_by_reason{engine="0",model_name="Qwen/Qwen3-8B",reason="deferred"} 0.0`)
	wantLines(t, text, "vllm:prompt_tokens",
		`# HELP vllm:prompt_tokens_total Number of prefill tokens processed.`,
		`# TYPE vllm:prompt_tokens_total counter`,
		`vllm:prompt_tokens_total{engine="0",model_name="Qwen/Qwen3-8B"} 1.2345678e+07`,
		`# HELP vllm:prompt_tokens_created Number of prefill tokens processed.`,
		`# TYPE vllm:prompt_tokens_created gauge`,
		`vllm:prompt_tokens_created{engine="0",model_name="Qwen/Qwen3-8B"} 1.70000000025e+09`)
	wantLines(t, text, "vllm:request_success_total{",
		`vllm:request_success_total{engine="0",finished_reason="stop",model_name="Qwen/Qwen3-8B"} 2.0`,
		`vllm:request_success_total{engine="0",finished_reason="length",model_name="Qwen/Qwen3-8B"} 0.0`,
		`vllm:request_success_total{engine="0",finished_reason="abort",model_name="Qwen/Qwen3-8B"} 0.0`,
		`vllm:request_success_total{engine="0",finished_reason="error",model_name="Qwen/Qwen3-8B"} 0.0`)
	for part, want := range map[string]string{
		`vllm:time_to_first_token_seconds_bucket{engine="0",le="0.01",`: "0.0", `vllm:time_to_first_token_seconds_bucket{engine="0",le="0.02",`: "1.0",
		`vllm:time_to_first_token_seconds_bucket{engine="0",le="2.5",`: "1.0", `vllm:time_to_first_token_seconds_bucket{engine="0",le="5.0",`: "2.0",
		`vllm:time_to_first_token_seconds_bucket{engine="0",le="2560.0",`: "2.0", `vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",`: "2.0",
		"vllm:time_to_first_token_seconds_count": "2.0", "vllm:time_to_first_token_seconds_sum": "3.02",
	} {
		got := lines(t, text, part)
		if len(got) != 1 || !strings.HasSuffix(got[0], " "+want) {
			t.Errorf("%s is %q, want value %s", part, got, want)
		}
	}
	family := parse(t, text)["vllm:time_to_first_token_seconds"]
	if family.GetType() != dto.MetricType_HISTOGRAM || family.Metric[0].GetHistogram().GetSampleCount() != 2 {
		t.Errorf("histogram is %v", family)
	}
}

func TestVLLMLeavesOutWhatIsAbsent(t *testing.T) {
	text := exposeVLLM("m", time.Now(), EngineLoad{Running: math.NaN(), Waiting: Absent, KVCache: Absent})
	wantLines(t, text, "vllm:num_requests_waiting")
	wantLines(t, text, "vllm:kv_cache_usage_perc")
	wantLines(t, text, "vllm:num_requests_running{", `vllm:num_requests_running{engine="0",model_name="m"} NaN`)
	parse(t, text)
}

func TestPythonFloat(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0.0", 1: "1.0", 0.3: "0.3", 1.5: "1.5", -2: "-2.0", 123456: "123456.0", 1234567: "1.234567e+06",
		999999.5: "999999.5", 1000000: "1e+06", 0.0001: "0.0001", 0.00001: "1e-05", 1.7e9: "1.7e+09", 2560: "2560.0",
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf",
	} {
		if got := pythonFloat(value); got != want {
			t.Errorf("pythonFloat(%v) = %s, want %s", value, got, want)
		}
	}
	if got := pythonFloat(math.NaN()); got != "NaN" {
		t.Errorf("pythonFloat(NaN) = %s", got)
	}
}

func TestGatewayLines(t *testing.T) {
	g := &Gateway{queues: map[string]float64{}}
	g.SetQueue("vision", 0)
	g.SetQueue("llm", 2.5)
	text := g.expose()
	wantLines(t, text, "gateway_queue_length{", `gateway_queue_length{deployment="llm"} 2.5`, `gateway_queue_length{deployment="vision"} 0`)
	if families := parse(t, text); len(families) != 1 {
		t.Errorf("%d families, want 1", len(families))
	}
}
