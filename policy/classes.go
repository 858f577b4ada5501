package policy

// builtinClasses are sets of keys for common engines. The targets are starting points, taken where published ones meet: a
// queue of 3 to 5 and 16 running requests per replica (llm-d, the vLLM production stack, GKE's guide), a cache of 80 % (llm-d's
// saturation), a GPU utilization below where it says nothing more (Triton profiles use 75).
var builtinClasses = map[string]map[string]string{
	"gpu":    {"target.gpu-utilization": "75"},
	"ollama": {"target.gpu-utilization": "75"},
	"vllm":   {"target.queue-depth": "4", "target.running-requests": "16", "target.kv-cache": "80"},
	"sglang": {"target.queue-depth": "4", "target.running-requests": "16", "target.kv-cache": "80"},
	"tgi":    {"target.queue-depth": "4", "target.running-requests": "16"},
	"triton": {"target.queue-depth": "4", "target.gpu-utilization": "75"},
}
