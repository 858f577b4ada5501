package policy

// builtinClasses are sets of keys for common engines. The targets are starting points, taken where published ones meet: a
// queue of 3 to 5 and about 16 running requests per replica (llm-d, the vLLM production stack, GKE's guide), a cache of 80 % (llm-d's
// saturation), a GPU utilization below where it says nothing more (Triton profiles use 75).
//
// Where an engine serves its metrics is its own default: vLLM's api_server 8000, SGLang's launch_server 30000, the port of TGI's image 80, and
// Triton's metrics 8002. A pod that does not answer there is read through Prometheus.
//
// An LLM's load is told by what waits and runs at a moment, which jumps: a raise waits until that has been so for 15 s, and then goes the
// whole way, because its pods take minutes. Running requests of 14 and a scale-down window of 2 minutes served best for their
// GPU-hours in test/compare.
var builtinClasses = map[string]map[string]string{
	"gpu":    {"target.gpu-utilization": "75"},
	"ollama": {"target.gpu-utilization": "75"},
	"vllm":   llm("8000/metrics"),
	"sglang": llm("30000/metrics"),
	"tgi":    {"target.queue-depth": "4", "target.running-requests": "16", "scrape": "80/metrics"},
	"triton": {"target.queue-depth": "4", "target.gpu-utilization": "75", "scrape": "8002/metrics"},
}

// llm is for engines that batch continuously and tell of their cache.
func llm(scrape string) map[string]string {
	return map[string]string{
		"target.queue-depth": "4", "target.running-requests": "14", "target.kv-cache": "80",
		"scale-up.stabilization": "15s", "scale-up.policies": "100 pods/15s, 100%/15s", "scale-down.stabilization": "2m",
		"scrape": scrape,
	}
}
