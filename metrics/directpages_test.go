package metrics

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// enginePages are what the engines write, and what is read of it. The second page has all counters doubled, 30 s later, so that
// the first page is what was counted in between.
var enginePages = map[string]map[policy.Signal]string{
	"vllm": {
		policy.QueueDepth: "6 vllm:num_requests_waiting_by_reason", policy.RunningRequests: "20 vllm:num_requests_running",
		policy.KVCache: "61 vllm:kv_cache_usage_perc", policy.TokensPerSecond: "1500 vllm:generation_tokens_total",
		policy.RequestsPerSecond: "4 vllm:request_success_total", policy.TTFTP95: "0.75 vllm:time_to_first_token_seconds",
		policy.InterTokenP95: "0.02425 vllm:inter_token_latency_seconds", policy.QueueTimeP95: "idle vllm:request_queue_time_seconds",
	},
	"vllm-0.8": {
		policy.QueueDepth: "5 vllm:num_requests_waiting", policy.RunningRequests: "3 vllm:num_requests_running",
		policy.KVCache: "25 vllm:gpu_cache_usage_perc", policy.InterTokenP95: "0.095 vllm:time_per_output_token_seconds",
	},
	"vllm-openmetrics": {
		policy.RunningRequests: "3 vllm:num_requests_running", policy.TokensPerSecond: "20 vllm:generation_tokens_total",
		policy.TTFTP95: "0.975 vllm:time_to_first_token_seconds",
	},
	"sglang": {
		policy.QueueDepth: "6 sglang:num_queue_reqs", policy.RunningRequests: "17 sglang:num_running_reqs",
		policy.KVCache: "29 sglang:token_usage", policy.TokensPerSecond: "300 sglang:generation_tokens_total",
		policy.RequestsPerSecond: "1.5 sglang:e2e_request_latency_seconds_count", policy.TTFTP95: "0.39 sglang:time_to_first_token_seconds",
	},
	"tgi": {
		policy.QueueDepth: "4 tgi_queue_size", policy.RunningRequests: "20 tgi_batch_current_size",
		policy.TokensPerSecond: "50 tgi_request_generated_tokens_sum", policy.RequestsPerSecond: "1 tgi_request_duration_count",
		policy.QueueTimeP95: "1.5 tgi_request_queue_duration",
	},
	"triton": {
		policy.QueueDepth: "11 nv_inference_pending_request_count", policy.RequestsPerSecond: "120 nv_inference_request_success",
		policy.GPUUtilization: "60 nv_gpu_utilization", policy.GPUMemory: "37.5 nv_gpu_memory_used_bytes",
	},
	"triton-trtllm": {
		policy.QueueDepth: "13 nv_trt_llm_request_metrics", policy.RunningRequests: "32 nv_trt_llm_request_metrics",
		policy.KVCache: "40 nv_trt_llm_kv_cache_block_metrics",
	},
	"trtllm": {
		policy.QueueDepth: "11 trtllm_num_requests_waiting", policy.RunningRequests: "21 trtllm_num_requests_running",
		policy.KVCache: "33 trtllm_kv_cache_utilization", policy.RequestsPerSecond: "3 trtllm_request_success_total",
		policy.TTFTP95: "0.095 trtllm_time_to_first_token_seconds",
	},
	"nim": {
		policy.QueueDepth: "8 num_requests_waiting", policy.RunningRequests: "7 num_requests_running",
		policy.KVCache: "50 gpu_cache_usage_perc", policy.TokensPerSecond: "100 generation_tokens_total",
		policy.RequestsPerSecond: "2 e2e_request_latency_seconds_count", policy.TTFTP95: "1.9 time_to_first_token_seconds",
	},
	"llamacpp": {
		policy.QueueDepth: "4 llamacpp:requests_deferred", policy.RunningRequests: "1 llamacpp:requests_processing",
		policy.TokensPerSecond: "30 llamacpp:tokens_predicted_total",
	},
	"node-exporters": {},
}

func TestEnginePages(t *testing.T) {
	for name, want := range enginePages {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/pages/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			page := newBook(string(text))
			if strings.HasSuffix(name, "openmetrics") {
				page.kind = openMetricsType
			}
			p := newPods(t, 1, func(int) http.Handler { return page })
			d := NewDirect(DirectOptions{})
			target := p.target(allSignals()...)
			if r := d.Read(context.Background(), at(0), target); r.Problem != "" {
				t.Fatal(r.Problem)
			}
			page.write(doubled(string(text)))
			r := d.Read(context.Background(), at(30), target)
			if r.Problem != "" {
				t.Fatal(r.Problem)
			}
			for i, signal := range target.Signals {
				if got := roundedReading(r.Results[i]); got != want[signal] {
					t.Errorf("%s: %q, want %q", signal, got, want[signal])
				}
				if len(r.Results[i].Dropped) > 0 {
					t.Errorf("%s: dropped %v", signal, r.Results[i].Dropped)
				}
			}
		})
	}
}

// roundedReading renders the reading of p0 to four digits: rates are reckoned with the real clock's fractions of a second.
func roundedReading(r DirectResult) string {
	reading, ok := r.Samples.Get("ml", "p0")
	switch {
	case !ok:
		return ""
	case reading.Idle:
		return "idle " + reading.Source
	}
	v, _ := strconv.ParseFloat(strconv.FormatFloat(reading.Value, 'e', 3, 64), 64)
	if nearest := math.Round(v); math.Abs(v-nearest) < 2e-3*v {
		v = nearest
	}
	return fmt.Sprintf("%g %s", v, reading.Source)
}

// doubled is a page with all counters twice as high.
func doubled(text string) string {
	counter := map[string]bool{}
	for i := range signalTable {
		for _, s := range signalTable[i].sources {
			switch s.Kind {
			case Rate:
				counter[s.Metric] = true
			case Quantile:
				counter[s.Metric+"_bucket"], counter[s.Metric+"_count"] = true, true
			}
		}
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if !counter[line[:metricName([]byte(line))]] {
			continue
		}
		end, err := seriesEnd([]byte(line), metricName([]byte(line)))
		if err != nil {
			panic(err)
		}
		word, rest := nextWord([]byte(line[end:]))
		v, _ := strconv.ParseFloat(string(word), 64)
		lines[i] = strings.TrimRight(fmt.Sprintf("%s %v %s", line[:end], 2*v, rest), " ")
	}
	return strings.Join(lines, "\n")
}
