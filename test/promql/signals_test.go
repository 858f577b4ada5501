package promql

import (
	"context"
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// shown renders a result as pod -> "value source", values to six digits.
func shown(result metrics.Result) map[string]string {
	got := map[string]string{}
	for key, r := range result.Samples.All() {
		s := fmt.Sprintf("%.6g %s", r.Value, r.Source)
		if r.Idle {
			s = "idle " + r.Source
		}
		got[key.Namespace+"/"+key.Pod] = s
	}
	return got
}

func text(v float64) string { return fmt.Sprintf("%.6g", v) }

// signalTest loads samples and wants readings of the pods in namespaces ml and vision.
type signalTest struct {
	name    string
	signal  policy.Signal
	data    database
	want    map[string]string
	dropped map[metrics.Why]int
}

const (
	util   = "DCGM_FI_DEV_GPU_UTIL"
	prof   = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
	used   = "DCGM_FI_DEV_FB_USED"
	byWhy  = "vllm:num_requests_waiting_by_reason"
	vqueue = "vllm:num_requests_waiting"
	vttft  = "vllm:time_to_first_token_seconds"

	agentUtil  = "gpuscaler_nvml_gpu_utilization_ratio"
	agentUsed  = "gpuscaler_nvml_memory_used_bytes"
	agentTotal = "gpuscaler_nvml_memory_total_bytes"
)

// agent is a series of our NVML agent, whose own pod is in pod.
func agent(metric, pod, gpu, window string) string {
	return fmt.Sprintf(`%s{namespace="gpuscaler-system",pod="agent-1",job="agents",exported_namespace="ml",exported_pod=%q,index=%q,uuid="GPU-%s",window=%q}`,
		metric, pod, gpu, gpu, window)
}

// dcgm is a series of DCGM's exporter in the default installation, where its own pod is in pod.
func dcgm(metric, exporter, pod, gpu string) string {
	return fmt.Sprintf(`%s{namespace="gpu-operator",pod=%q,instance="%s:9400",job="dcgm",exported_namespace="ml",exported_pod=%q,`+
		`exported_container="c",gpu=%q,UUID="GPU-%s",Hostname="node-1"}`, metric, exporter, exporter, pod, gpu, gpu)
}

// engine is a series of an inference server, scraped by a PodMonitor.
func engine(metric, namespace, pod, more string) string {
	return fmt.Sprintf(`%s{namespace=%q,pod=%q,instance="10.0.0.1:8000",job="pods"%s}`, metric, namespace, pod, more)
}

// buckets adds a histogram whose requests all take between 1 and 2 s, so many per second.
func buckets(data database, metric, pod string, perSecond float64) {
	for le, share := range map[string]float64{"0.5": 0, "1": 0, "2": 1, "+Inf": 1} {
		data[engine(metric+"_bucket", "ml", pod, fmt.Sprintf(`,engine="0",model_name="m",le=%q`, le))] = counter(perSecond * share)
	}
	data[engine(metric+"_count", "ml", pod, `,engine="0",model_name="m"`)] = counter(perSecond)
}

func latencies() database {
	data := database{}
	buckets(data, vttft, "busy", 4)
	buckets(data, vttft, "idle", 0)
	buckets(data, "vllm:time_per_output_token_seconds", "old", 4)
	return data
}

var signalTests = []signalTest{
	{
		name: "both label forms", signal: policy.GPUUtilization,
		data: database{
			dcgm(util, "x1", "a", "0"):                                                                  last(80),
			util + `{namespace="ml",pod="b",UUID="GPU-1"}`:                                              last(60),
			util + `{exported_namespace="ml",namespace="gpu",pod="c",gpu="0"}`:                          last(40), // no pod label on the target
			util + `{namespace="ml",pod="x1",exported_pod="d",gpu="0"}`:                                 last(20), // no namespace label on it
			util + `{namespace="other",pod="e",UUID="GPU-2"}`:                                           last(99),
			util + `{exported_namespace="other",exported_pod="f",namespace="ml",pod="x1",UUID="GPU-3"}`: last(99),
			util + `{namespace="gpu-operator",pod="x1",UUID="GPU-4"}`:                                   last(99), // a GPU that nobody uses
		},
		want: map[string]string{"ml/a": "80 " + util, "ml/b": "60 " + util, "ml/c": "40 " + util, "ml/d": "20 " + util},
	},
	{
		name: "mean over GPUs, duplicates merged", signal: policy.GPUUtilization,
		data: database{
			dcgm(util, "x1", "a", "0"): last(100), dcgm(util, "x1", "a", "1"): last(50),
			// The same two GPUs by a second exporter, and the first by a second Prometheus.
			dcgm(util, "x2", "a", "0"): last(100), dcgm(util, "x2", "a", "1"): last(50),
			util + `{namespace="gpu-operator",pod="x1",exported_namespace="ml",exported_pod="a",gpu="0",UUID="GPU-0",prometheus_replica="b"}`: last(100),
		},
		want: map[string]string{"ml/a": "75 " + util},
	},
	{
		name: "MIG: the profiling ratio steps in, per pod", signal: policy.GPUUtilization,
		data: database{
			dcgm(util, "x1", "a", "0"): last(10), dcgm(prof, "x1", "a", "0"): last(0.99),
			prof + `{namespace="ml",pod="mig",UUID="GPU-7",GPU_I_ID="1"}`: last(0.5),
			prof + `{namespace="ml",pod="mig",UUID="GPU-7",GPU_I_ID="2"}`: last(0.7),
		},
		want: map[string]string{"ml/a": "10 " + util, "ml/mig": "60 " + prof},
	},
	{
		name: "time slicing: a GPU shared by pods and seen once more as a whole", signal: policy.GPUUtilization,
		data: database{
			`DCGM_FI_DEV_GPU_UTIL{namespace="ml",pod="a",UUID="GPU-0",gpu="0",vgpu="0",pod_uid="1"}`: last(30),
			`DCGM_FI_DEV_GPU_UTIL{namespace="ml",pod="a",UUID="GPU-0",gpu="0",vgpu="1",pod_uid="1"}`: last(30),
			`DCGM_FI_DEV_GPU_UTIL{namespace="ml",pod="b",UUID="GPU-0",gpu="0",vgpu="2",pod_uid="2"}`: last(60),
			`DCGM_FI_DEV_GPU_UTIL{namespace="gpu",pod="x1",UUID="GPU-0",gpu="0"}`:                    last(90),
		},
		want: map[string]string{"ml/a": "30 " + util, "ml/b": "60 " + util},
	},
	{
		name: "impossible values", signal: policy.GPUUtilization,
		data: database{
			dcgm(util, "x1", "a", "0"): last(4294967295), dcgm(util, "x1", "b", "0"): last(math.NaN()),
			dcgm(util, "x1", "c", "0"): last(math.Inf(1)), dcgm(util, "x1", "d", "0"): last(-1),
			dcgm(util, "x1", "e", "0"): last(9223372036854775794), dcgm(util, "x1", "f", "0"): last(103),
			// One blank among a pod's GPUs must not hide in the mean.
			dcgm(util, "x1", "g", "0"): last(20), dcgm(util, "x1", "g", "1"): last(-20),
		},
		want:    map[string]string{"ml/f": "100 " + util},
		dropped: map[metrics.Why]int{metrics.OutOfRange: 2, metrics.NotANumber: 1, metrics.Infinite: 1, metrics.Negative: 2},
	},
	{
		name: "no identity", signal: policy.GPUUtilization,
		data:    database{util + `{namespace="ml",UUID="GPU-1"}`: last(50), util + `{UUID="GPU-2"}`: last(50)},
		want:    map[string]string{},
		dropped: map[metrics.Why]int{metrics.NoIdentity: 1},
	},
	{
		name: "age", signal: policy.GPUUtilization,
		data: database{
			dcgm(util, "x1", "fresh", "0"): {{89 * time.Second, 1}},
			dcgm(util, "x1", "old", "0"):   {{91 * time.Second, 2}},
			dcgm(util, "x1", "gone", "0"):  {{20 * time.Second, 3}, {5 * time.Second, stale}},
			// The older of two duplicates must not be the larger one that wins.
			dcgm(util, "x1", "dup", "0"): {{120 * time.Second, 100}}, dcgm(util, "x2", "dup", "0"): {{10 * time.Second, 4}},
			// An old first source leaves the pod to the next.
			dcgm(util, "x1", "next", "0"): {{120 * time.Second, 100}}, dcgm(prof, "x1", "next", "0"): last(0.25),
		},
		want: map[string]string{"ml/fresh": "1 " + util, "ml/dup": "4 " + util, "ml/next": "25 " + prof},
	},
	{
		name: "memory, with and without the reserved part", signal: policy.GPUMemory,
		data: database{
			dcgm(used, "x1", "a", "0"): last(60000), dcgm("DCGM_FI_DEV_FB_FREE", "x1", "a", "0"): last(20000),
			dcgm(used, "x1", "b", "0"): last(60000), dcgm("DCGM_FI_DEV_FB_FREE", "x1", "b", "0"): last(19000),
			dcgm("DCGM_FI_DEV_FB_RESERVED", "x1", "b", "0"):                     last(1000),
			dcgm(used, "x1", "half", "0"):                                       last(60000), // without the free part nothing can be said
			engine("nv_gpu_memory_used_bytes", "ml", "t", `,gpu_uuid="GPU-1"`):  last(4e9),
			engine("nv_gpu_memory_total_bytes", "ml", "t", `,gpu_uuid="GPU-1"`): last(16e9),
		},
		want: map[string]string{"ml/a": "75 " + used, "ml/b": "75 " + used, "ml/t": "25 nv_gpu_memory_used_bytes"},
	},
	{
		name: "our agent: after DCGM, before what the pod itself says, one window of three", signal: policy.GPUUtilization,
		data: database{
			agent(agentUtil, "a", "0", "1s"): last(0.1), agent(agentUtil, "a", "0", "5s"): last(0.2), agent(agentUtil, "a", "0", "15s"): last(0.5),
			agent(agentUtil, "a", "1", "1s"): last(0.1), agent(agentUtil, "a", "1", "5s"): last(0.2), agent(agentUtil, "a", "1", "15s"): last(0.7),
			engine("nv_gpu_utilization", "ml", "a", `,gpu_uuid="GPU-0"`): last(0.9),
			agent(agentUtil, "both", "2", "15s"):                         last(0.5), dcgm(util, "x1", "both", "2"): last(40),
			agentUtil + `{namespace="ml",pod="plain",uuid="GPU-3",window="15s"}`:           last(0.3),
			agentUtil + `{namespace="gpuscaler-system",pod="x",uuid="GPU-4",window="15s"}`: last(0.99), // nobody's, or shared
			agent(agentUtil, "short", "5", "5s"):                                           last(0.3),
		},
		want: map[string]string{"ml/a": "60 " + agentUtil, "ml/both": "40 " + util, "ml/plain": "30 " + agentUtil},
	},
	{
		name: "our agent: memory in use has a window, the total has none", signal: policy.GPUMemory,
		data: database{
			agent(agentUsed, "a", "0", "1s"): last(1e9), agent(agentUsed, "a", "0", "15s"): last(4e9), agent(agentTotal, "a", "0", ""): last(16e9),
			agent(agentUsed, "b", "1", "15s"): last(4e9), // without its total nothing can be said
		},
		want: map[string]string{"ml/a": "25 " + agentUsed},
	},
	{
		name: "queue: engines are added, scrapes of one engine are not", signal: policy.QueueDepth,
		data: database{
			engine(vqueue, "ml", "a", `,engine="0",model_name="m"`): last(3), engine(vqueue, "ml", "a", `,engine="1",model_name="m"`): last(4),
			vqueue + `{namespace="ml",pod="a",instance="10.0.0.1:8000",job="services",service="s",engine="0",model_name="m"}`: last(3),
			engine(vqueue, "ml", "a", `,engine="0",model_name="m",prometheus_replica="b"`):                                    last(3),
			engine(vqueue, "vision", "z", `,engine="0"`):                                                                      last(0),
		},
		want: map[string]string{"ml/a": "7 " + vqueue, "vision/z": "0 " + vqueue},
	},
	{
		name: "queue: only what waits for capacity, where that is told", signal: policy.QueueDepth,
		data: database{
			engine(vqueue, "ml", "new", `,engine="0"`):                                             last(9),
			engine(byWhy, "ml", "new", `,engine="0",reason="capacity"`):                            last(2),
			engine(byWhy, "ml", "new", `,engine="0",reason="deferred"`):                            last(7),
			engine(vqueue, "ml", "old", `,engine="0"`):                                             last(5),
			engine("sglang:num_queue_reqs", "ml", "s", `,tp_rank="0"`):                             last(6),
			engine("sglang:num_queue_reqs", "ml", "s", `,tp_rank="1"`):                             last(6), // the same queue
			engine("tgi_queue_size", "ml", "t", ""):                                                last(1),
			engine("num_requests_waiting", "ml", "n", `,model_name="m"`):                           last(8),
			engine("llamacpp:requests_deferred", "ml", "l", ""):                                    last(4),
			engine("trtllm_num_requests_waiting", "ml", "r", ""):                                   last(11),
			engine("nv_inference_pending_request_count", "ml", "i", `,model="x"`):                  last(12),
			engine("nv_trt_llm_request_metrics", "ml", "k", `,request_type="waiting",model="x"`):   last(13),
			engine("nv_trt_llm_request_metrics", "ml", "k", `,request_type="scheduled",model="x"`): last(99),
		},
		want: map[string]string{
			"ml/new": "2 " + byWhy, "ml/old": "5 " + vqueue, "ml/s": "6 sglang:num_queue_reqs", "ml/t": "1 tgi_queue_size",
			"ml/n": "8 num_requests_waiting", "ml/l": "4 llamacpp:requests_deferred", "ml/r": "11 trtllm_num_requests_waiting",
			"ml/i": "12 nv_inference_pending_request_count", "ml/k": "13 nv_trt_llm_request_metrics",
		},
	},
	{
		name: "cache: fractions become percent, the fullest engine counts, renamed or not", signal: policy.KVCache,
		data: database{
			engine("vllm:kv_cache_usage_perc", "ml", "new", `,engine="0"`): last(0.25), engine("vllm:kv_cache_usage_perc", "ml", "new", `,engine="1"`): last(0.75),
			engine("vllm:gpu_cache_usage_perc", "ml", "new", `,engine="0"`): last(0.99),
			engine("vllm:gpu_cache_usage_perc", "ml", "old", `,engine="0"`): last(0.5),
			engine("sglang:token_usage", "ml", "s", ""):                     last(0.125),
			engine("gpu_cache_usage_perc", "ml", "n", ""):                   last(1.03),
		},
		want: map[string]string{
			"ml/new": "75 vllm:kv_cache_usage_perc", "ml/old": "50 vllm:gpu_cache_usage_perc", "ml/s": "12.5 sglang:token_usage",
			"ml/n": "100 gpu_cache_usage_perc",
		},
	},
	{
		name: "tokens: rates, parts added, ended pods gone", signal: policy.TokensPerSecond,
		data: database{
			engine("vllm:generation_tokens_total", "ml", "a", `,engine="0"`):             counter(100),
			engine("vllm:generation_tokens_total", "ml", "a", `,engine="1"`):             counter(50),
			engine("sglang:generation_tokens_total", "ml", "s", `,is_streaming="true"`):  counter(20),
			engine("sglang:generation_tokens_total", "ml", "s", `,is_streaming="false"`): counter(10),
			engine("tgi_request_generated_tokens_sum", "ml", "t", ""):                    counter(7),
			engine("llamacpp:tokens_predicted_total", "ml", "idle", ""):                  counter(0),
			engine("vllm:generation_tokens_total", "ml", "ended", `,engine="0"`):         append(counter(100), scraped{5 * time.Second, stale}),
			engine("vllm:generation_tokens_total", "ml", "young", `,engine="0"`):         last(5), // one scrape is no rate
		},
		want: map[string]string{
			"ml/a": "150 vllm:generation_tokens_total", "ml/s": "30 sglang:generation_tokens_total",
			"ml/t": "7 tgi_request_generated_tokens_sum", "ml/idle": "0 llamacpp:tokens_predicted_total",
		},
	},
	{
		name: "requests: reasons and streaming are parts of the count", signal: policy.RequestsPerSecond,
		data: database{
			engine("vllm:request_success_total", "ml", "a", `,engine="0",finished_reason="stop"`):   counter(2),
			engine("vllm:request_success_total", "ml", "a", `,engine="0",finished_reason="length"`): counter(1),
			engine("nv_inference_request_success", "ml", "t", `,model="x",version="1"`):             counter(5),
			engine("nv_inference_request_success", "ml", "t", `,model="y",version="1"`):             counter(6),
		},
		want: map[string]string{"ml/a": "3 vllm:request_success_total", "ml/t": "11 nv_inference_request_success"},
	},
	{
		name: "latency: no traffic is idle, not missing", signal: policy.TTFTP95, data: latencies(),
		want: map[string]string{"ml/busy": "1.95 " + vttft, "ml/idle": "idle " + vttft},
	},
	{
		name: "latency under its old name", signal: policy.InterTokenP95, data: latencies(),
		want: map[string]string{"ml/old": "1.95 vllm:time_per_output_token_seconds"},
	},
	{name: "nothing there", signal: policy.QueueTimeP95, data: database{`up{namespace="ml",pod="a"}`: last(1)}, want: map[string]string{}},
}

func TestSignals(t *testing.T) {
	for _, tt := range signalTests {
		for _, delayed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, delayed name removal %v", tt.name, delayed), func(t *testing.T) {
				p := newServer(t, tt.data, delayed).reader(delayed)
				result, err := p.Read(context.Background(), tt.signal, []string{"vision", "ml"})
				if err != nil {
					t.Fatal(err)
				}
				if got := shown(result); !maps.Equal(got, tt.want) {
					t.Errorf(" got %v\nwant %v", got, tt.want)
				}
				dropped := map[metrics.Why]int{}
				for _, drop := range result.Dropped {
					dropped[drop.Why] = drop.Count
				}
				if !maps.Equal(dropped, tt.dropped) {
					t.Errorf("dropped %v, want %v", dropped, tt.dropped)
				}
				if len(tt.want) > 0 && !result.ServerTime.Equal(now) {
					t.Errorf("server time %v, want %v", result.ServerTime, now)
				}
			})
		}
	}
}

// TestEveryQueryParses: for every signal, whatever the namespaces are called, Prometheus' own parser accepts the
// queries, every selector in them is bound to the namespaces, and no query is longer than it may be.
func TestEveryQueryParses(t *testing.T) {
	long := make([]string, 500)
	for i := range long {
		long[i] = fmt.Sprintf("a-rather-long-namespace-name-%04d", i)
	}
	for name, namespaces := range map[string][]string{
		"one": {"ml"}, "two": {"ml", "vision"}, "odd": {`a.b`, `c"d`, `e\f`, "g|h", "é\xff"}, "many": long,
	} {
		for _, get := range []bool{false, true} {
			p, err := metrics.NewPrometheus(metrics.Options{ClientOptions: metrics.ClientOptions{URL: "http://p", GET: get}})
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range policy.Signals() {
				queries, err := p.Queries(info.Signal, namespaces)
				if err != nil || len(queries) == 0 {
					t.Fatalf("%s, %s: %d queries, %v", name, info.Signal, len(queries), err)
				}
				for _, query := range queries {
					checkBound(t, query)
				}
				if name == "one" {
					t.Logf("%s: %d bytes", info.Signal, len(queries[0]))
				}
			}
		}
	}
}

func checkBound(t *testing.T, query string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	for _, selector := range parser.ExtractSelectors(expr) {
		bound := false
		for _, m := range selector {
			bound = bound || (m.Name == "namespace" || m.Name == "exported_namespace") && m.Value != ""
		}
		if !bound {
			t.Fatalf("selector %v is not bound to a namespace in\n%s", selector, query)
		}
	}
}

func TestAges(t *testing.T) {
	data := database{
		dcgm(util, "x1", "a", "0"): {{12 * time.Second, 1}}, dcgm(util, "x1", "a", "1"): {{34 * time.Second, 1}},
		dcgm(util, "x2", "a", "1"):   {{30 * time.Second, 1}}, // the fresher of two copies
		dcgm(util, "x1", "old", "0"): {{200 * time.Second, 1}},
	}
	buckets(data, vttft, "b", 1)
	p := newServer(t, data, false).reader(false)
	for signal, want := range map[policy.Signal]map[string]time.Duration{
		policy.GPUUtilization: {"a": 30 * time.Second, "old": 200 * time.Second},
		policy.TTFTP95:        {"b": 10 * time.Second},
	} {
		ages, err := p.Ages(context.Background(), signal, []string{"ml"})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]time.Duration{}
		for key, at := range ages.Samples {
			got[key.Pod] = ages.ServerTime.Sub(at)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: ages %v, want %v", signal, got, want)
		}
	}
}

func TestReadRange(t *testing.T) {
	p := newServer(t, database{
		dcgm(util, "x1", "a", "0"): {{60 * time.Second, 10}, {45 * time.Second, 20}, {30 * time.Second, 30}},
		dcgm(util, "x1", "a", "1"): {{60 * time.Second, 30}, {45 * time.Second, 4294967295}, {30 * time.Second, 50}},
		dcgm(util, "x1", "b", "0"): {{30 * time.Second, 7}},
	}, false).reader(false)
	results, err := p.ReadRange(context.Background(), policy.GPUUtilization, []string{"ml"}, now.Add(-75*time.Second), now.Add(-30*time.Second), 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{{"ml/a": "20 " + util}, {}, {"ml/a": "40 " + util, "ml/b": "7 " + util}}
	if len(results) != len(want) {
		t.Fatalf("%d results, want %d", len(results), len(want))
	}
	for i, result := range results {
		if got := shown(result); !maps.Equal(got, want[i]) {
			t.Errorf("step %d: got %v, want %v", i, got, want[i])
		}
		if at := now.Add(time.Duration(15*i-60) * time.Second); !result.ServerTime.Equal(at) {
			t.Errorf("step %d at %v, want %v", i, result.ServerTime, at)
		}
	}
}
