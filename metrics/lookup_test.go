package metrics

import (
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

func TestLookup(t *testing.T) {
	for name, want := range map[string]policy.Signal{
		"DCGM_FI_DEV_GPU_UTIL":                    policy.GPUUtilization,
		"dcgm_fi_dev_gpu_util":                    policy.GPUUtilization,
		"vllm:num_requests_waiting":               policy.QueueDepth,
		"vllm_num_requests_waiting":               policy.QueueDepth,
		"vllm:generation_tokens_total":            policy.TokensPerSecond,
		"vllm_generation_tokens":                  policy.TokensPerSecond,
		"vllm_generation_tokens_per_second":       policy.TokensPerSecond,
		"vllm:time_to_first_token_seconds_bucket": policy.TTFTP95,
		"sglang:token_usage":                      policy.KVCache,
		"node_memory_MemFree_bytes":               "",
		"vllm:num_requests_waiting_for_something": "",
		"":                                    "",
		"vllm:num_requests_waiting_by_reason": policy.QueueDepth,
		"tgi_request_generated_tokens_sum":    policy.TokensPerSecond,
		"vllm:e2e_request_latency_seconds_created": "",
	} {
		found := Lookup(name)
		var got policy.Signal
		if len(found) > 0 {
			got = found[0].Signal
		}
		if got != want {
			t.Errorf("Lookup(%q) finds %q, want %q", name, got, want)
		}
	}
	if found := Lookup("nv_trt_llm_request_metrics"); len(found) != 2 {
		t.Errorf("a metric that two signals are read from: found %v", found)
	}
}

// TestLookupFindsAll wants each source to be found by its own name.
func TestLookupFindsAll(t *testing.T) {
	for _, info := range policy.Signals() {
		for _, source := range Sources(info.Signal) {
			if len(Lookup(source.Metric)) == 0 {
				t.Errorf("Lookup(%q) finds nothing", source.Metric)
			}
		}
	}
}
