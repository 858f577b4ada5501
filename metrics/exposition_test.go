package metrics

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gpuscaler/gpuscaler/policy"
)

// allSignals are those of the table.
func allSignals() []policy.Signal {
	var all []policy.Signal
	for i := range signalTable {
		all = append(all, signalTable[i].signal)
	}
	return all
}

// lastMoment is later than every timestamp that is taken.
var lastMoment = time.UnixMilli(1 << 62)

func readText(p *page, r io.Reader, openMetrics bool) error {
	return p.read(bufio.NewReaderSize(r, maxLine), openMetrics, lastMoment, lastMoment)
}

// listed renders the samples of the page read last: canonical series -> value and time.
func listed(t *testing.T, p *page) map[string]string {
	t.Helper()
	got := map[string]string{}
	for i := range p.series {
		s := &p.series[i]
		if s.page != p.number {
			continue
		}
		text := s.text.Value()
		name := metricName([]byte(text))
		labels, err := parseLabels(text[name:])
		if err != nil {
			t.Fatal(err)
		}
		keep(got, canonical(text[:name], labels), s.value, s.own)
	}
	return got
}

// canonical writes a series with its labels sorted.
func canonical(name string, labels []label) string {
	slices.SortFunc(labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	return fmt.Sprintf("%s%q", name, labels)
}

// keep lets the first of two samples of one series stay unless the second is larger.
func keep(all map[string]string, series string, v float64, ms int64) {
	if old, known := all[series]; known {
		var before float64
		_, _ = fmt.Sscan(old, &before)
		if !(v > before) {
			return
		}
	}
	if ms == 1 { // which is what 0 becomes, to be told from no time at all
		ms = 0
	}
	all[series] = fmt.Sprintf("%v %d", v, ms)
}

// parsedBy is what expfmt reads of the page: the wanted samples. Without the lines that tell types every sample stands under its
// own name.
func parsedBy(text []byte, openMetrics bool, p *plan) (map[string]string, error) {
	var plain bytes.Buffer
	for l := range bytes.Lines(text) {
		trimmed := bytes.TrimLeft(l, " \t")
		if !bytes.HasPrefix(trimmed, []byte("#")) || string(bytes.TrimRight(trimmed, "\n")) == "# EOF" && openMetrics {
			plain.Write(l)
		}
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	if openMetrics {
		format = expfmt.NewFormat(expfmt.TypeOpenMetrics)
	}
	all := map[string]string{}
	dec := expfmt.SampleDecoder{Dec: expfmt.NewDecoder(&plain, format), Opts: &expfmt.DecodeOptions{}}
	for {
		var samples model.Vector
		if err := dec.Decode(&samples); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		for _, sample := range samples {
			var labels []label
			for name, value := range sample.Metric {
				if name != model.MetricNameLabel {
					labels = append(labels, label{string(name), string(value)})
				}
			}
			if name := string(sample.Metric[model.MetricNameLabel]); p.names[name] != nil {
				keep(all, canonical(name, labels), float64(sample.Value), int64(sample.Timestamp))
			}
		}
	}
}

// ownRefusal reports errors that expfmt has not: bounds and what only a reader of signals refuses.
func ownRefusal(err error) bool {
	return errors.Is(err, errLongLine) || errors.Is(err, errTooLarge) || errors.Is(err, errTime) ||
		err != nil && strings.Contains(err.Error(), "of a bucket")
}

// quotedName reports names in quotes without braces around, such as tgi_queue_size"" 1, which expfmt lets pass.
func quotedName(text []byte) bool {
	for l := range bytes.Lines(text) {
		head, _, _ := bytes.Cut(l, []byte("{"))
		if bytes.IndexByte(head, '"') >= 0 {
			return true
		}
	}
	return false
}

var expositionSeeds = []struct {
	openMetrics bool
	text        string
}{
	{false, ""},
	{false, "# HELP tgi_queue_size x\n# TYPE tgi_queue_size gauge\ntgi_queue_size 3\n"},
	{false, "tgi_queue_size 3"},
	{false, " \ttgi_queue_size\t { a = \"b\" , c=\"}\\\"\\\\\\n\" , }  3.5e3  1767225600000 \n\n"},
	{false, "vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} NaN\nvllm:num_requests_waiting{engine=\"1\"} +Inf -1\n"},
	{false, "tgi_queue_size 1\ntgi_queue_size 5\ntgi_queue_size{} 2\n"},
	{false, "tgi_queue_size 5\ntgi_queue_size 1\n"},
	{false, "tgi_queue_size{a=\"1\",a=\"2\"} 1\n"},
	{false, "tgi_queue_size{a=\"\xff\"} 1\n"},
	{false, "tgi_queue_size{\"a.b\"=\"1\"} 1\n{\"tgi_queue_size\"} 1\n"},
	{false, "tgi_queue_size 1_0\ntgi_queue_size 0x1p3\ntgi_queue_size 1e999\n"},
	{false, "tgi_queue_size 1 # {a=\"b\"} 1\n"},
	{false, "vllm:time_to_first_token_seconds_bucket{le=\"0.1\"} 1\nvllm:time_to_first_token_seconds_count 1\n"},
	{true, "# TYPE tgi_queue_size gauge\ntgi_queue_size 3 1767225600.25\n# EOF\n"},
	{true, "tgi_queue_size 3\n"},
	{true, "tgi_queue_size 3\n# EOF"},
	{true, "tgi_queue_size 3\n# EOF\ntgi_queue_size 4\n"},
	{true, "vllm:generation_tokens_total{engine=\"0\"} 3 # {trace_id=\"a b\"} 0.67 1.5\nvllm:generation_tokens_created 1\n# EOF\n"},
}

// FuzzPage: any bytes, in any pieces, give the same samples or a refusal, and where expfmt reads the page those that it reads.
// A page that was refused changes nothing.
func FuzzPage(f *testing.F) {
	for _, seed := range expositionSeeds {
		f.Add([]byte(seed.text), seed.openMetrics)
	}
	f.Add(vllmPage(1), false)
	wanted := podPlan(allSignals())
	f.Fuzz(func(t *testing.T, raw []byte, openMetrics bool) {
		p, got, err := readThrice(t, wanted, raw, openMetrics)
		evaluation{page: p, age: time.Minute}.worths()
		if openMetrics && len(raw) > 100 || ownRefusal(err) || quotedName(raw) {
			return // of OpenMetrics the time that expfmt takes grows out of all proportion
		}
		want, errWant := parsedBy(raw, openMetrics, wanted)
		switch {
		case errWant != nil:
		case errors.Is(err, errTruncated) && !openMetrics: // expfmt lets blanks and comments end without a line feed
		case err != nil:
			t.Fatalf("refused with %v, expfmt reads %v", err, want)
		case !maps.Equal(got, want):
			t.Fatalf("got %v, expfmt reads %v", got, want)
		}
	})
}

// readThrice reads a page in one piece, byte by byte, and once more.
func readThrice(t *testing.T, wanted *plan, raw []byte, openMetrics bool) (p *page, got map[string]string, err error) {
	t.Helper()
	p = &page{plan: wanted}
	err = readText(p, bytes.NewReader(raw), openMetrics)
	got = listed(t, p)
	if err != nil && len(got) > 0 {
		t.Fatalf("a refused page (%v) left %v", err, got)
	}
	pieces := &page{plan: wanted}
	if errAgain := readText(pieces, iotest.OneByteReader(bytes.NewReader(raw)), openMetrics); (err == nil) != (errAgain == nil) {
		t.Fatalf("in one piece %v, byte by byte %v", err, errAgain)
	}
	if errAgain := readText(p, bytes.NewReader(raw), openMetrics); (err == nil) != (errAgain == nil) || !maps.Equal(got, listed(t, p)) {
		t.Fatalf("the same page again: %v, %v; first %v, %v", listed(t, p), errAgain, got, err)
	}
	return p, got, err
}

// TestPageRefusals: each of these is a failure of the whole page.
func TestPageRefusals(t *testing.T) {
	tests := map[string]struct {
		openMetrics bool
		text, want  string
	}{
		"cut in a line":             {false, "tgi_queue_size 1\ntgi_queue_size 12", "ends in the middle"},
		"OpenMetrics without end":   {true, "tgi_queue_size 1\n", "ends in the middle"},
		"empty OpenMetrics":         {true, "", "ends in the middle"},
		"text after the end":        {true, "# EOF\ntgi_queue_size 1\n", "after # EOF"},
		"no value":                  {false, "tgi_queue_size\n", "value"},
		"a word as value":           {false, "tgi_queue_size many\n", "many"},
		"labels without end":        {false, "tgi_queue_size{a=\"b 1\n", "labels without end"},
		"a label twice":             {false, "tgi_queue_size{a=\"b\",a=\"c\"} 1\n", "labels"},
		"no UTF-8":                  {false, "tgi_queue_size{a=\"\xff\"} 1\n", "labels"},
		"an exemplar in plain text": {false, "tgi_queue_size 1 # {} 1\n", "timestamp"},
		"seconds in plain text":     {false, "tgi_queue_size 1 1767225600.5\n", "timestamp"},
		"a bucket without bound":    {false, "vllm:time_to_first_token_seconds_bucket 1\n", "le"},
		"a long line":               {false, "# " + strings.Repeat("x", maxLine) + "\n", "longer than"},
		"a time to come":            {false, "tgi_queue_size 1 4611686018427390000\n", "ahead"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &page{plan: podPlan(allSignals())}
			before := "tgi_queue_size 7\n"
			if tt.openMetrics {
				before += "# EOF\n"
			}
			if err := readText(p, strings.NewReader(before), tt.openMetrics); err != nil {
				t.Fatal(err)
			}
			err := readText(p, strings.NewReader(tt.text), tt.openMetrics)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want an error with %q", err, tt.want)
			}
			if got := listed(t, p); !maps.Equal(got, map[string]string{"tgi_queue_size[]": "7 0"}) {
				t.Errorf("it left %v", got)
			}
		})
	}
}

// TestPageMoves: series that come, go and change places keep their counts.
func TestPageMoves(t *testing.T) {
	p := &page{plan: podPlan([]policy.Signal{policy.RequestsPerSecond})}
	totals := func() map[string]float64 {
		got := map[string]float64{}
		for i := range p.series {
			got[strings.TrimPrefix(p.series[i].text.Value(), "vllm:request_success_total")] = p.series[i].total
		}
		return got
	}
	for i, step := range []struct {
		text string
		want map[string]float64
	}{
		{`{r="a"} 10 {r="b"} 20`, map[string]float64{`{r="a"}`: 0, `{r="b"}`: 0}},
		{`{r="b"} 25 {r="a"} 11`, map[string]float64{`{r="a"}`: 1, `{r="b"}`: 5}},
		{`{r="c"} 100 {r="b"} 26 {r="a"} 11`, map[string]float64{`{r="a"}`: 1, `{r="b"}`: 6, `{r="c"}`: 0}}, // from its first sight
		{`{r="c"} 101 {r="a"} 3`, map[string]float64{`{r="a"}`: 4, `{r="b"}`: 6, `{r="c"}`: 1}},             // a restart
		{`{r="c"} 101 {r="b"} 2 {r="a"} 3`, map[string]float64{`{r="a"}`: 4, `{r="b"}`: 8, `{r="c"}`: 1}},   // b after it
		{`{r="a"} NaN {r="b"} 2 {r="c"} 101`, map[string]float64{`{r="a"}`: 4, `{r="b"}`: 8, `{r="c"}`: 1}},
		{`{r="a"} 5 {r="b"} -1 {r="c"} 103`, map[string]float64{`{r="a"}`: 4, `{r="b"}`: 8, `{r="c"}`: 3}},
	} {
		text := strings.NewReplacer(" {", "\nvllm:request_success_total{").Replace("vllm:request_success_total"+step.text) + "\n"
		if err := p.read(bufio.NewReaderSize(strings.NewReader(text), maxLine), false, at(i), at(i)); err != nil {
			t.Fatal(err)
		}
		if got := totals(); !maps.Equal(got, step.want) {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	// What has not been seen for a window is forgotten.
	if err := p.read(bufio.NewReaderSize(strings.NewReader("vllm:request_success_total{r=\"c\"} 1\n"), maxLine), false, at(60), at(60)); err != nil {
		t.Fatal(err)
	}
	if got := totals(); len(got) != 1 {
		t.Errorf("%v is still kept", got)
	}
}

// vllmPage is what a vLLM server writes, as the fleet of the test module does: some 600 lines for two engines.
func vllmPage(engines int) []byte {
	var out bytes.Buffer
	e := func(name, labels string, v float64) {
		for i := range engines {
			fmt.Fprintf(&out, "%s{engine=\"%d\",%smodel_name=\"meta-llama/Llama-3.1-8B-Instruct\"} %v\n", name, i, labels, v)
		}
	}
	head := func(name, kind string) {
		fmt.Fprintf(&out, "# HELP %s Some words on what it is.\n# TYPE %s %s\n", name, name, kind)
	}
	for _, name := range []string{"num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"} {
		head("vllm:"+name, "gauge")
		e("vllm:"+name, "", 0.5)
	}
	for _, reason := range []string{"capacity", "deferred"} {
		e("vllm:num_requests_waiting_by_reason", "reason=\""+reason+"\",", 1)
	}
	for _, name := range []string{"prefix_cache_queries", "prefix_cache_hits", "num_preemptions", "prompt_tokens", "generation_tokens"} {
		head("vllm:"+name+"_total", "counter")
		e("vllm:"+name+"_total", "", 123456)
		head("vllm:"+name+"_created", "gauge")
		e("vllm:"+name+"_created", "", 1.7672256e9)
	}
	for _, reason := range []string{"stop", "length", "abort", "error"} {
		e("vllm:request_success_total", "finished_reason=\""+reason+"\",", 77)
	}
	for _, name := range []string{
		"request_prompt_tokens", "request_generation_tokens", "time_to_first_token_seconds", "inter_token_latency_seconds",
		"e2e_request_latency_seconds", "request_queue_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds",
		"iteration_tokens_total", "request_inference_time_seconds",
	} {
		head("vllm:"+name, "histogram")
		for i := range 22 {
			e("vllm:"+name+"_bucket", fmt.Sprintf("le=\"%v\",", math.Pow(2, float64(i-6))), float64(i*7))
		}
		e("vllm:"+name+"_bucket", "le=\"+Inf\",", 200)
		e("vllm:"+name+"_count", "", 200)
		e("vllm:"+name+"_sum", "", 1234.5)
		e("vllm:"+name+"_created", "", 1.7672256e9)
	}
	return out.Bytes()
}

// BenchmarkPage reads a vLLM page of 600 lines: ours for three signals, and expfmt.
func BenchmarkPage(b *testing.B) {
	text := vllmPage(2)
	lines := float64(bytes.Count(text, []byte("\n")))
	b.Run("ours", func(b *testing.B) {
		p := &page{plan: podPlan([]policy.Signal{policy.QueueDepth, policy.TokensPerSecond, policy.TTFTP95})}
		in, r := bufio.NewReaderSize(nil, maxLine), bytes.NewReader(nil)
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(text)
			in.Reset(r)
			if err := p.read(in, false, tickZero, tickZero); err != nil {
				b.Fatal(err)
			}
			if n := len(evaluation{page: p, age: time.Minute}.worths()); n != 2 {
				b.Fatal(n)
			}
		}
		b.ReportMetric(lines, "lines")
	})
	b.Run("expfmt", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			if families, err := parser.TextToMetricFamilies(bytes.NewReader(text)); err != nil || len(families) < 20 {
				b.Fatal(len(families), err)
			}
		}
	})
	b.Run("filtered expfmt", func(b *testing.B) {
		names := podPlan([]policy.Signal{policy.QueueDepth, policy.TokensPerSecond, policy.TTFTP95}).names
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		var kept bytes.Buffer
		for b.Loop() {
			kept.Reset()
			for l := range bytes.Lines(text) {
				if _, wanted := names[string(l[:metricName(l)])]; wanted {
					kept.Write(l)
				}
			}
			parser := expfmt.NewTextParser(model.UTF8Validation)
			if families, err := parser.TextToMetricFamilies(&kept); err != nil || len(families) < 3 {
				b.Fatal(len(families), err)
			}
		}
	})
}
