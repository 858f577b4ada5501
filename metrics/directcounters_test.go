package metrics

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// step is one tick of a story: the page as it is then, and what is read of it. A missing reading is "".
type step struct {
	second     int
	page, want string
}

// TestRates tells stories of counters. 300 more in 30 s are 10 per second.
func TestRates(t *testing.T) {
	const tokens = "vllm:generation_tokens_total"
	const finished = "vllm:request_success_total"
	rate := func(v float64) string { return fmt.Sprintf("%g %s", v, tokens) }
	tests := map[string]struct {
		signal policy.Signal
		steps  []step
	}{
		"missing until there are ten seconds": {policy.TokensPerSecond, []step{
			{0, tokens + " 1000", ""},
			{5, tokens + " 1050", ""},
			{9, tokens + " 1090", ""},
			{10, tokens + " 1100", rate(10)},
			{15, tokens + " 1150", rate(10)},
		}},
		"over half a minute": {policy.TokensPerSecond, []step{
			{0, tokens + " 0", ""},
			{10, tokens + " 0", rate(0)},
			{20, tokens + " 0", rate(0)},
			{30, tokens + " 300", rate(10)},
			{40, tokens + " 600", rate(20)},
			{50, tokens + " 900", rate(30)},
			{60, tokens + " 900", rate(20)},
			{80, tokens + " 900", rate(0)},
		}},
		"a restart counts from zero": {policy.TokensPerSecond, []step{
			{0, tokens + " 5000", ""},
			{10, tokens + " 5100", rate(10)},
			{20, tokens + " 50", rate(7.5)},
			{30, tokens + " 200", rate(10)},
		}},
		"a new label set counts from its first sight": {policy.RequestsPerSecond, []step{
			{0, finished + `{finished_reason="stop"} 10`, ""},
			{10, finished + `{finished_reason="stop"} 20` + "\n" + finished + `{finished_reason="length"} 1000`, "1 " + finished},
			{20, finished + `{finished_reason="stop"} 30` + "\n" + finished + `{finished_reason="length"} 1020`, "2 " + finished},
		}},
		"duplicates beyond the identity are merged by their rates": {policy.TokensPerSecond, []step{
			{0, tokens + "{engine=\"0\",tp_rank=\"0\"} 90000\n" + tokens + "{engine=\"0\",tp_rank=\"1\"} 0\n" + tokens + "{engine=\"1\"} 0", ""},
			{10, tokens + "{engine=\"0\",tp_rank=\"0\"} 90000\n" + tokens + "{engine=\"0\",tp_rank=\"1\"} 100\n" + tokens + "{engine=\"1\"} 50", rate(15)},
		}},
		"scrapes that are rarer than the window": {policy.TokensPerSecond, []step{
			{0, tokens + " 0", ""},
			{60, tokens + " 600", rate(10)},
			{140, tokens + " 2200", rate(20)},
			{240, tokens + " 9999", ""}, // nothing is known of the last minute and a half
		}},
		"an impossible value is no rate, and no restart": {policy.TokensPerSecond, []step{
			{0, tokens + " 100", ""},
			{10, tokens + " 200", rate(10)},
			{15, tokens + " NaN", ""},
			{20, tokens + " -5", ""},
			{30, tokens + " 400", rate(3.33333)}, // 100 were counted while it was known
		}},
		"a counter with a time of its own, long ago": {policy.TokensPerSecond, []step{
			{0, tokens + " 100", ""},
			{10, tokens + " 200 1767225610000", rate(10)},
			{18, tokens + " 200 1767225610000", rate(5.5556)},
			{25, tokens + " 200 1767225610000", ""},
		}},
		"the first source answers even when its rate is not known yet": {policy.TokensPerSecond, []step{
			{0, "tgi_request_generated_tokens_sum 100", ""},
			{10, "tgi_request_generated_tokens_sum 200", "10 tgi_request_generated_tokens_sum"},
			{15, "tgi_request_generated_tokens_sum 200\n" + tokens + " 5", rate(0)},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { playSteps(t, tt.signal, tt.steps) })
	}
}

func playSteps(t *testing.T, signal policy.Signal, steps []step) {
	t.Helper()
	page := newBook("")
	p := newPods(t, 1, func(int) http.Handler { return page })
	d := NewDirect(DirectOptions{})
	for _, s := range steps {
		page.write(s.page + "\n")
		r := d.Read(context.Background(), at(s.second), p.target(signal))
		if r.Problem != "" {
			t.Fatal(r.Problem)
		}
		if got := roundedReading(r.Results[0]); !near(got, s.want) {
			t.Errorf("at %d s: %q, want %q", s.second, got, s.want)
		}
	}
}

// near compares readings to one in a hundred.
func near(got, want string) bool {
	var v, w float64
	var source, wantSource string
	if n, _ := fmt.Sscan(got, &v, &source); n != 2 {
		return got == want
	}
	_, _ = fmt.Sscan(want, &w, &wantSource)
	return source == wantSource && math.Abs(v-w) <= 0.01*math.Abs(w)+1e-9
}

// histogramText writes a histogram of these counts per bucket, for one engine.
func histogramText(engine string, counts ...int) string {
	const name = "vllm:time_to_first_token_seconds"
	var b strings.Builder
	total := 0
	for i, le := range []string{"0.5", "1.0", "2.0", "+Inf"} {
		total += counts[i]
		fmt.Fprintf(&b, "%s_bucket{engine=%q,le=%q} %d\n", name, engine, le, total)
	}
	fmt.Fprintf(&b, "%s_count{engine=%q} %d\n", name, engine, total)
	return b.String()
}

// TestQuantiles: percentiles are of the window and not of all time, over all engines.
func TestQuantiles(t *testing.T) {
	const source = " vllm:time_to_first_token_seconds"
	playSteps(t, policy.TTFTP95, []step{
		{0, histogramText("0", 1000, 0, 0, 0), ""},
		{5, histogramText("0", 1000, 0, 100, 0), ""},
		{10, histogramText("0", 1000, 0, 100, 0), "1.95" + source},
		{20, histogramText("0", 1100, 0, 100, 0), "1.9" + source}, // 100 in each of the two since 0 s
		{30, histogramText("0", 1100, 0, 100, 0), "1.9" + source},
		{40, histogramText("0", 1100, 0, 100, 0), "0.475" + source}, // since 10 s
		{55, histogramText("0", 1100, 0, 100, 0), "idle" + source},
		{60, histogramText("0", 1100, 0, 100, 0) + histogramText("1", 0, 5, 5, 0), "idle" + source}, // from its first sight
		{70, histogramText("0", 1110, 0, 100, 0) + histogramText("1", 0, 5, 15, 0), "1.9" + source},
		{75, histogramText("0", 0, 0, 0, 2) + histogramText("1", 0, 0, 0, 0), "2" + source}, // a restart; the rest is +Inf
	})
}

// TestBucketQuantile: the cases of Prometheus' rule. The test module holds it against Prometheus itself.
func TestBucketQuantile(t *testing.T) {
	inf := math.Inf(1)
	tests := map[string]struct {
		buckets []bucket
		want    float64
	}{
		"linear":                  {[]bucket{{1, 0}, {2, 100}, {inf, 100}}, 1.95},
		"the first begins at 0":   {[]bucket{{2, 100}, {inf, 100}}, 1.9},
		"a first below 0":         {[]bucket{{-1, 100}, {inf, 100}}, -1},
		"the last has no end":     {[]bucket{{1, 5}, {2, 10}, {inf, 100}}, 2},
		"no +Inf":                 {[]bucket{{1, 5}, {2, 10}}, math.NaN()},
		"only +Inf":               {[]bucket{{inf, 5}}, math.NaN()},
		"nothing":                 {nil, math.NaN()},
		"nothing counted":         {[]bucket{{1, 0}, {inf, 0}}, math.NaN()},
		"counts that fall":        {[]bucket{{1, 100}, {2, 90}, {inf, 100}}, 0.95},
		"a count that is unknown": {[]bucket{{1, math.NaN()}, {inf, 100}}, math.NaN()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := bucketQuantile(0.95, tt.buckets)
			if math.Abs(got-tt.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
