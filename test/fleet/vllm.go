package fleet

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// finishReasons are the values of finished_reason, in the order in which vLLM makes their series.
var finishReasons = []string{"stop", "length", "abort", "error"}

// exposeVLLM writes what the Python client library writes for a vLLM server: gauges, counters and histograms in the
// order of their registration, labels by name, and the time at which each counter and histogram was made.
func exposeVLLM(model string, born time.Time, l EngineLoad) []byte {
	e := pythonExposition{model: model, born: float64(born.UnixMicro()) / 1e6}
	e.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", l.Running)
	e.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", l.Waiting)
	e.waitingByReason(l.Waiting)
	e.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", l.KVCache)
	e.counter("vllm:prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens.", l.PromptTokens)
	e.counter("vllm:prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.", 0)
	e.counter("vllm:num_preemptions", "Cumulative number of preemption from the engine.", l.Preemptions)
	e.counter("vllm:prompt_tokens", "Number of prefill tokens processed.", l.PromptTokens)
	e.counter("vllm:generation_tokens", "Number of generation tokens processed.", l.GenerationTokens)
	e.success(l.Finished)
	for _, h := range []struct {
		name, help string
		bounds     []float64
		histogram  *Histogram
	}{
		{"vllm:request_prompt_tokens", "Number of prefill tokens processed.", tokenBounds, l.RequestPromptTokens},
		{"vllm:request_generation_tokens", "Number of generation tokens processed.", tokenBounds, l.RequestGenerationTokens},
		{"vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", ttftBounds, l.TTFT},
		{"vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", interTokenBounds, l.InterToken},
		{"vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", requestBounds, l.E2E},
		{"vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", requestBounds, l.QueueTime},
		{"vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", requestBounds, l.Prefill},
		{"vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", requestBounds, l.Decode},
	} {
		if h.histogram == nil {
			h.histogram = NewHistogram(h.bounds)
		}
		e.histogram(h.name, h.help, h.histogram)
	}
	return e.out.Bytes()
}

// pythonExposition writes the text format as Python's prometheus_client does.
type pythonExposition struct {
	out   bytes.Buffer
	model string
	born  float64 // Unix time in seconds
}

func (e *pythonExposition) header(name, help, kind string) {
	fmt.Fprintf(&e.out, "# HELP %[1]s %[2]s\n# TYPE %[1]s %[3]s\n", name, help, kind)
}

// sample writes a line. The label between engine and model_name, if any, is given with its comma: `le="1.0",`.
func (e *pythonExposition) sample(name, label string, value float64) {
	fmt.Fprintf(&e.out, "%s{engine=\"0\",%smodel_name=\"%s\"} %s\n", name, label, e.model, pythonFloat(value))
}

func (e *pythonExposition) gauge(name, help string, value float64) {
	if value == Absent {
		return
	}
	e.header(name, help, "gauge")
	e.sample(name, "", value)
}

// waitingByReason says that all that wait do so for room: none is deferred.
func (e *pythonExposition) waitingByReason(waiting float64) {
	if waiting == Absent {
		return
	}
	const name = "vllm:num_requests_waiting_by_reason"
	e.header(name, "Number of waiting requests by reason.", "gauge")
	fmt.Fprintf(&e.out, "%s{engine=\"0\",model_name=\"%s\",reason=\"capacity\"} %s\n", name, e.model, pythonFloat(waiting))
	fmt.Fprintf(&e.out, "%s{engine=\"0\",model_name=\"%s\",reason=\"deferred\"} 0.0\n", name, e.model)
}

func (e *pythonExposition) counter(name, help string, value float64) {
	e.header(name+"_total", help, "counter")
	e.sample(name+"_total", "", math.Floor(value))
	e.created(name, help, "")
}

func (e *pythonExposition) created(name, help string, labels ...string) {
	e.header(name+"_created", help, "gauge")
	for _, label := range labels {
		e.sample(name+"_created", label, e.born)
	}
}

// success writes the finished requests, all of which stopped by themselves.
func (e *pythonExposition) success(stopped float64) {
	const name, help = "vllm:request_success", "Count of successfully processed requests."
	e.header(name+"_total", help, "counter")
	labels := make([]string, len(finishReasons))
	for i, reason := range finishReasons {
		labels[i] = fmt.Sprintf(`finished_reason="%s",`, reason)
		value := 0.0
		if reason == "stop" {
			value = math.Floor(stopped)
		}
		e.sample(name+"_total", labels[i], value)
	}
	e.created(name, help, labels...)
}

func (e *pythonExposition) histogram(name, help string, h *Histogram) {
	e.header(name, help, "histogram")
	buckets := h.buckets()
	for _, b := range buckets {
		e.sample(name+"_bucket", fmt.Sprintf(`le="%s",`, pythonFloat(b.bound)), b.count)
	}
	e.sample(name+"_count", "", buckets[len(buckets)-1].count)
	e.sample(name+"_sum", "", h.sum)
	e.created(name, help, "")
}

// pythonFloat writes a number as Python's client library does: always with a point or an exponent.
func pythonFloat(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case math.IsNaN(v):
		return "NaN"
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	// From seven digits before the point on, the library writes what Go would.
	if point := strings.Index(text, "."); v > 0 && point > 6 {
		mantissa := strings.TrimRight(text[:1]+"."+text[1:point]+text[point+1:], "0.")
		return fmt.Sprintf("%se+0%d", mantissa, point-1)
	}
	return text
}
