package metrics

// Kind says how the series of a source are turned into values.
type Kind uint8

// The kinds of sources.
const (
	// Gauge: the sample itself, times Scale.
	Gauge Kind = iota
	// Rate: the increase per second of a counter over the rate window, times Scale.
	Rate
	// Quantile: the 95th percentile of a classic histogram over the rate window, times Scale.
	Quantile
	// UsedOfTotal: Scale x Metric / Total.
	UsedOfTotal
	// UsedOfParts: Scale x Metric / (Metric + Free + Reserved); Reserved counts as 0 where it is not exported.
	UsedOfParts
)

// Source is one place where a signal can be read: a metric of one exporter or engine.
type Source struct {
	// Name identifies the source in readings, messages and queries: the metric's name.
	Name string
	// Engine is the exporter or inference server that exposes it.
	Engine string
	Kind   Kind
	// Metric is the name of the series; for Quantile without its _bucket.
	Metric string
	// Match narrows Metric, and only it, to a part of its series, such as reason="capacity".
	Match Match
	// Scale turns the metric's unit into the signal's.
	Scale float64
	// Identity are the labels that tell one GPU or engine of a pod from another. Series of a pod that agree in
	// them are the same thing seen twice and are merged before anything is added up.
	Identity []string
	// Total, Free and Reserved name the other metrics of UsedOfTotal and UsedOfParts.
	Total, Free, Reserved string
}

// Labels that tell GPUs apart. UUID names the GPU and GPU_I_ID its MIG instance; gpu (the index on the node) stands
// in where a relabelling dropped UUID to save series. `vgpu` is left out on purpose: with time slicing it numbers
// the sharers, each of which shows the same GPU. uuid and gpu_uuid are the spellings of old exporters and Triton.
var (
	gpuIdentity    = []string{"UUID", "uuid", "GPU_I_ID", "gpu"}
	agentGPU       = []string{"uuid"}
	tritonGPU      = []string{"gpu_uuid"}
	tritonIdentity = []string{"gpu_uuid", "model", "version"}
)

// Our NVML agent's metrics say over how long they are a mean: 1s, 5s or 15s. Prometheus is asked for the longest, since it
// keeps one value of many anyway. Direct chooses by its interval.
const (
	agentEngine = "gpuscaler-nvml"
	agentWindow = "window"
)

// engineIdentity are the labels that tell engines of one pod apart, and the parts into which an engine splits a
// count. engine is vLLM's data-parallel rank, dp_rank SGLang's. tp_rank, pp_rank and moe_ep_rank are left out on
// purpose: ranks of one engine that all report the same queue would multiply it. instance, job, endpoint and the
// like are left out because the same engine scraped by two jobs or by two Prometheus replicas is one engine. The
// price: a pod that runs several servers on several ports with equal labels is seen as its busiest one.
var engineIdentity = []string{
	"engine", "engine_type", "dp_rank", "model_name", "model", "version", // engines
	"finished_reason", "is_streaming", // parts of a count
}

// gpuUtilization: DCGM's counter reads 0-100 and is absent in MIG mode, where the profiling ratio 0-1 takes over. Our
// own agent reads the same counter of the same driver. It stands after DCGM because where both run DCGM's is the reading that
// people compare with on their dashboards, and because a cluster that gets the agent must not change what it scales on.
// Triton's own reading comes last: it sees what its container sees.
var gpuUtilization = []Source{
	gauge("dcgm", "DCGM_FI_DEV_GPU_UTIL", 1, gpuIdentity),
	gauge("dcgm", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", 100, gpuIdentity),
	match(gauge(agentEngine, "gpuscaler_nvml_gpu_utilization_ratio", 100, agentGPU), agentWindow, "15s"),
	gauge("triton", "nv_gpu_utilization", 100, tritonGPU),
}

// gpuMemory: no shipped DCGM configuration exports a percentage. FB_RESERVED is in the binary's defaults and missing
// in the Helm chart's. The agent's stands after DCGM's as above; its total has no window. Triton documents nv_gpu_memory_total_bytes beside nv_gpu_memory_used_bytes.
var gpuMemory = []Source{
	{
		Name: "DCGM_FI_DEV_FB_USED", Engine: "dcgm", Kind: UsedOfParts, Metric: "DCGM_FI_DEV_FB_USED", Scale: 100,
		Free: "DCGM_FI_DEV_FB_FREE", Reserved: "DCGM_FI_DEV_FB_RESERVED", Identity: gpuIdentity,
	},
	{
		Name: "gpuscaler_nvml_memory_used_bytes", Engine: agentEngine, Kind: UsedOfTotal, Metric: "gpuscaler_nvml_memory_used_bytes",
		Match: Match{agentWindow, "15s"}, Scale: 100, Total: "gpuscaler_nvml_memory_total_bytes", Identity: agentGPU,
	},
	{
		Name: "nv_gpu_memory_used_bytes", Engine: "triton", Kind: UsedOfTotal, Metric: "nv_gpu_memory_used_bytes",
		Scale: 100, Total: "nv_gpu_memory_total_bytes", Identity: tritonGPU,
	},
}

// tokensPerSecond: TGI has no counter of tokens, but the sum of its histogram of tokens per request is one; it moves
// when requests end. trtllm_generation_tokens_total is listed by TensorRT-LLM's metrics collector (not by 1.1).
// Triton counts inferences, not tokens.
var tokensPerSecond = []Source{
	rate("vllm", "vllm:generation_tokens_total"),
	rate("sglang", "sglang:generation_tokens_total"),
	rate("trtllm", "trtllm_generation_tokens_total"),
	rate("tgi", "tgi_request_generated_tokens_sum"),
	rate("nim", "generation_tokens_total"),
	rate("llama.cpp", "llamacpp:tokens_predicted_total"),
}

// requestsPerSecond counts requests that ended: no engine counts arrivals. For engines without a counter the count
// of a latency histogram is one. llama.cpp counts no requests.
var requestsPerSecond = []Source{
	rate("vllm", "vllm:request_success_total"),
	rate("sglang", "sglang:e2e_request_latency_seconds_count"),
	rate("trtllm", "trtllm_request_success_total"), // TensorRT-LLM's metrics collector, since its first version
	rate("tgi", "tgi_request_duration_count"),
	{
		Name: "nv_inference_request_success", Engine: "triton", Kind: Rate, Metric: "nv_inference_request_success",
		Scale: 1, Identity: tritonIdentity,
	},
	rate("nim", "e2e_request_latency_seconds_count"),
}

// queueDepth: vLLM since 2026 splits the waiting requests by reason. Those deferred (LoRA budget, transfer of a
// cache) are no load, so where the split exists only the ones that wait for capacity count.
var queueDepth = []Source{
	match(gauge("vllm", "vllm:num_requests_waiting_by_reason", 1, engineIdentity), "reason", "capacity"),
	gauge("vllm", "vllm:num_requests_waiting", 1, engineIdentity),
	gauge("sglang", "sglang:num_queue_reqs", 1, engineIdentity),
	gauge("trtllm", "trtllm_num_requests_waiting", 1, engineIdentity),
	match(gauge("triton-trtllm", "nv_trt_llm_request_metrics", 1, tritonIdentity), "request_type", "waiting"),
	gauge("triton", "nv_inference_pending_request_count", 1, tritonIdentity),
	gauge("tgi", "tgi_queue_size", 1, engineIdentity),
	gauge("nim", "num_requests_waiting", 1, engineIdentity),
	gauge("llama.cpp", "llamacpp:requests_deferred", 1, engineIdentity),
}

// runningRequests: llama.cpp's is capped at its number of slots, one by default.
var runningRequests = []Source{
	gauge("vllm", "vllm:num_requests_running", 1, engineIdentity),
	gauge("sglang", "sglang:num_running_reqs", 1, engineIdentity),
	gauge("trtllm", "trtllm_num_requests_running", 1, engineIdentity),
	match(gauge("triton-trtllm", "nv_trt_llm_request_metrics", 1, tritonIdentity), "request_type", "scheduled"),
	gauge("tgi", "tgi_batch_current_size", 1, engineIdentity),
	gauge("nim", "num_requests_running", 1, engineIdentity),
	gauge("llama.cpp", "llamacpp:requests_processing", 1, engineIdentity),
}

// kvCache: every engine's is a fraction 0-1, whatever its name says. vLLM renamed its own in 0.9. llama.cpp no longer
// exports one and TGI never did.
var kvCache = []Source{
	gauge("vllm", "vllm:kv_cache_usage_perc", 100, engineIdentity),
	gauge("vllm", "vllm:gpu_cache_usage_perc", 100, engineIdentity),
	gauge("sglang", "sglang:token_usage", 100, engineIdentity),
	gauge("trtllm", "trtllm_kv_cache_utilization", 100, engineIdentity),
	match(gauge("triton-trtllm", "nv_trt_llm_kv_cache_block_metrics", 100, tritonIdentity),
		"kv_cache_block_type", "fraction"),
	gauge("nim", "gpu_cache_usage_perc", 100, engineIdentity),
}

// ttft is the time to the first token. TGI and llama.cpp export no histogram of it.
var ttft = []Source{
	quantile("vllm", "vllm:time_to_first_token_seconds"),
	quantile("sglang", "sglang:time_to_first_token_seconds"),
	quantile("trtllm", "trtllm_time_to_first_token_seconds"),
	quantile("nim", "time_to_first_token_seconds"),
}

// interToken is the time between tokens. vLLM and SGLang renamed theirs from time_per_output_token_seconds, which is
// still TensorRT-LLM's (so named in its metrics collector) and NIM's word. TGI's is a mean per request.
var interToken = []Source{
	quantile("vllm", "vllm:inter_token_latency_seconds"),
	quantile("vllm", "vllm:time_per_output_token_seconds"),
	quantile("sglang", "sglang:inter_token_latency_seconds"),
	quantile("sglang", "sglang:time_per_output_token_seconds"),
	quantile("trtllm", "trtllm_time_per_output_token_seconds"),
	quantile("tgi", "tgi_request_mean_time_per_token_duration"),
	quantile("nim", "time_per_output_token_seconds"),
}

// queueTime is the time a request waits before it runs. SGLang's collector names its own sglang:queue_time_seconds.
// Triton's queue time is a counter of microseconds: it has a mean and no percentile, so it is not a source.
var queueTime = []Source{
	quantile("vllm", "vllm:request_queue_time_seconds"),
	quantile("sglang", "sglang:queue_time_seconds"),
	quantile("trtllm", "trtllm_request_queue_time_seconds"),
	quantile("tgi", "tgi_request_queue_duration"),
}

func gauge(engine, metric string, scale float64, identity []string) Source {
	return Source{Name: metric, Engine: engine, Kind: Gauge, Metric: metric, Scale: scale, Identity: identity}
}

func rate(engine, metric string) Source {
	return Source{Name: metric, Engine: engine, Kind: Rate, Metric: metric, Scale: 1, Identity: engineIdentity}
}

func quantile(engine, metric string) Source {
	return Source{Name: metric, Engine: engine, Kind: Quantile, Metric: metric, Scale: 1, Identity: engineIdentity}
}

// match narrows a source by labels; its name tells them, so that two sources of one metric differ.
func match(s Source, label, value string) Source {
	s.Match = Match{label, value}
	return s
}
