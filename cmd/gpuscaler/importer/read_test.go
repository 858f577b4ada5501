package importer

import "testing"

// TestOwnPods wants only those queries to be taken for a signal that read the Deployment's own pods and nothing else.
func TestOwnPods(t *testing.T) {
	tr := newTranslation(kedaKind, "ml", "llm", map[string]string{})
	tr.Deployment = "llm"
	for text, want := range map[string]bool{
		`sum(vllm:num_requests_waiting{namespace="ml", pod=~"llm-.*"})`:                         true,
		`sum(vllm:num_requests_waiting{pod=~"^llm-[a-z0-9]+-[a-z0-9]+$",})`:                     true,
		`avg(DCGM_FI_DEV_GPU_UTIL{exported_pod=~"llm-.+"})`:                                     true,
		`sum(rate(vllm:generation_tokens_total{app="llm"}[5m]))`:                                true,
		`sum(vllm:num_requests_waiting{deployment="llm", engine="0"})`:                          true,
		`sum(vllm:generation_tokens_total{app="llm"})`:                                          false, // no rate of a counter
		`sum(rate(vllm:num_requests_waiting{app="llm"}[5m]))`:                                   false, // a rate of a gauge
		`sum(vllm:num_requests_waiting)`:                                                        false, // of all
		`sum(vllm:num_requests_waiting{namespace="ml"})`:                                        false, // of all in the namespace
		`sum(vllm:num_requests_waiting{namespace="other", pod=~"llm-.*"})`:                      false,
		`sum(vllm:num_requests_waiting{pod=~"llm.*"})`:                                          false, // and of llm2
		`sum(vllm:num_requests_waiting{pod=~"llm-[a-z]+-.*|x"})`:                                false,
		`sum(vllm:num_requests_waiting{pod=~"llm-.*|x"})`:                                       false,
		`sum(vllm:num_requests_waiting{pod!~"llm-.*"})`:                                         false,
		`sum(vllm:num_requests_waiting{app="other"})`:                                           false,
		`max(vllm:num_requests_waiting{app="llm"})`:                                             false,
		`sum(vllm:num_requests_waiting{app="llm"}) + sum(vllm:num_requests_waiting{app="llm"})`: false,
	} {
		q, plain := parseQuery(text)
		if got := plain && tr.ownPods(q); got != want {
			t.Errorf("%s: taken for the Deployment's own pods: %t", text, got)
		}
	}
}

// TestReadWindow reads cron triggers as spans of a schedule.
func TestReadWindow(t *testing.T) {
	for _, c := range []struct{ start, end, want string }{
		{"0 8 * * *", "30 20 * * *", "Mon-Sun 08:00-20:30 UTC"},
		{"0 8 * * 1-5", "0 20 * * MON-FRI", "Mon-Fri 08:00-20:00 UTC"},
		{"0 22 * * 6,7", "0 6 * * 0-1", "Sat,Sun 22:00-06:00 UTC"},
		{"0 22 ? * *", "0 6 * ? *", "Mon-Sun 22:00-06:00 UTC"},
		{"0 22 * * 5", "0 6 * * 1", ""},
		{"0 8 * * 1-5", "0 20 * * 1-4", ""},
		{"0 8 * * *", "0 8 * * *", ""},
		{"0 8 1 * *", "0 20 1 * *", ""},
		{"0 8-10 * * *", "0 20 * * *", ""},
		{"0 25 * * *", "0 20 * * *", ""},
		{"0 8 * * 5-1", "0 20 * * 5-1", ""},
		{"@daily", "0 20 * * *", ""},
	} {
		w, err := readWindow(&trigger{Metadata: map[string]any{"timezone": "UTC", "start": c.start, "end": c.end, "desiredReplicas": float64(3)}})
		if w.text != c.want || (err == nil) != (c.want != "") || err == nil && w.replicas != 3 {
			t.Errorf("%q to %q is %q, %v; want %q", c.start, c.end, w.text, err, c.want)
		}
	}
}
