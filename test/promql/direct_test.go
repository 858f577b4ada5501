package promql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// direct reads two pages of one pod, 30 s apart, and returns what is read the second time.
func direct(t *testing.T, first, second string, signals []policy.Signal) metrics.DirectReading {
	t.Helper()
	var page atomic.Pointer[string]
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, *page.Load())
	}))
	defer front.Close()
	address := netip.MustParseAddrPort(strings.TrimPrefix(front.URL, "http://"))
	target := metrics.DirectTarget{
		Namespace: "ml", Workload: "llama", Port: int(address.Port()), Path: "/metrics", Signals: signals,
		Pods: []metrics.DirectPod{{Name: "a", IP: address.Addr()}},
	}
	d := metrics.NewDirect(metrics.DirectOptions{})
	page.Store(&first)
	d.Read(context.Background(), now.Add(-30*time.Second), target)
	page.Store(&second)
	r := d.Read(context.Background(), now, target)
	if r.Problem != "" {
		t.Fatal(r.Problem)
	}
	return r
}

// TestDirectQuantile holds the percentiles of directly read histograms against Prometheus' own rule.
func TestDirectQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var pages [2]strings.Builder
		bounds := []float64{-1, 0, 0.5, 1, 2, math.Inf(1)}[rng.IntN(4):]
		buckets := make(promql.Buckets, len(bounds))
		for i, le := range bounds {
			buckets[i].UpperBound = le
		}
		for engine := range 1 + rng.IntN(3) {
			before, more := 0, 0
			for i, le := range bounds {
				before += rng.IntN(100)
				more += rng.IntN(20) * rng.IntN(2)
				buckets[i].Count += float64(more)
				for p, count := range []int{before, before + more} {
					fmt.Fprintf(&pages[p], "%s_bucket{engine=\"%d\",le=\"%v\"} %d\n", vttft, engine, le, count)
				}
			}
			fmt.Fprintf(&pages[0], "%s_count{engine=\"%d\"} %d\n", vttft, engine, before)
			fmt.Fprintf(&pages[1], "%s_count{engine=\"%d\"} %d\n", vttft, engine, before+more)
		}
		counted := buckets[len(buckets)-1].Count
		want, _, _, _, _, _ := promql.BucketQuantile(0.95, buckets)
		r := direct(t, pages[0].String(), pages[1].String(), []policy.Signal{policy.TTFTP95})
		got, ok := r.Results[0].Samples.Get("ml", "a")
		switch {
		case counted == 0:
			if !got.Idle {
				t.Errorf("%v, want idle\n%s", got, &pages[1])
			}
		case want < 0: // which a latency cannot be
			if ok {
				t.Errorf("%v, want none\n%s", got, &pages[1])
			}
		case !ok || math.Abs(got.Value-want) > 1e-9:
			t.Errorf("%v, want %v\n%s\n%s", got, want, &pages[0], &pages[1])
		}
	}
}

// TestDirectAgrees: what is read from a pod's page is what is read of the same page through Prometheus. Rates differ by how far
// Prometheus extrapolates them; percentiles do not.
func TestDirectAgrees(t *testing.T) {
	paths, err := filepath.Glob("../../metrics/testdata/pages/*.txt")
	if err != nil || len(paths) < 10 {
		t.Fatal(paths, err)
	}
	var signals []policy.Signal
	for _, info := range policy.Signals() {
		signals = append(signals, info.Signal)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if name == "vllm-openmetrics" || name == "node-exporters" { // of one engine less, and of no pod
			continue
		}
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bothWays(t, text, signals)
		})
	}
}

// bothWays reads a page directly and through Prometheus.
func bothWays(t *testing.T, text []byte, signals []policy.Signal) {
	first, second, data := pagesOf(t, text)
	p := newServer(t, data, false).reader(false)
	r := direct(t, first, second, signals)
	readings := 0
	for i, signal := range signals {
		result, err := p.Read(context.Background(), signal, []string{"ml"})
		if err != nil {
			t.Fatal(err)
		}
		want, wantOK := result.Samples.Get("ml", "a")
		got, ok := r.Results[i].Samples.Get("ml", "a")
		got.Time = time.Time{}
		if ok {
			readings++
		}
		if isRate(signal) {
			got.Value, want.Value = 0, 0
		}
		if ok != wantOK || got.Source != want.Source || got.Idle != want.Idle || math.Abs(got.Value-want.Value) > 1e-9 {
			t.Errorf("%s: directly %+v %v, through Prometheus %+v %v", signal, got, ok, want, wantOK)
		}
	}
	if readings < 3 {
		t.Errorf("%d readings", readings)
	}
}

func isRate(signal policy.Signal) bool {
	return signal == policy.TokensPerSecond || signal == policy.RequestsPerSecond
}

// pagesOf makes two pages of one, with all counters twice as high in the second, and the series that Prometheus has of both.
func pagesOf(t *testing.T, text []byte) (first, second string, data database) {
	t.Helper()
	counters := map[string]bool{}
	for _, info := range policy.Signals() {
		for _, s := range metrics.Sources(info.Signal) {
			for suffix, kind := range map[string]metrics.Kind{"": metrics.Rate, "_bucket": metrics.Quantile, "_count": metrics.Quantile} {
				counters[s.Metric+suffix] = counters[s.Metric+suffix] || s.Kind == kind
			}
		}
	}
	var plain bytes.Buffer // without types every sample stands for itself
	for line := range bytes.Lines(text) {
		if line[0] != '#' {
			plain.Write(line)
		}
	}
	var pages [2]strings.Builder
	data = database{}
	dec := &expfmt.SampleDecoder{Dec: expfmt.NewDecoder(&plain, expfmt.NewFormat(expfmt.TypeTextPlain)), Opts: &expfmt.DecodeOptions{}}
	for {
		var samples model.Vector
		if err := dec.Decode(&samples); errors.Is(err, io.EOF) {
			return pages[0].String(), pages[1].String(), data
		} else if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			v, later := float64(s.Value), float64(s.Value)
			if counters[string(s.Metric[model.MetricNameLabel])] {
				later *= 2
			}
			series := s.Metric.String()
			fmt.Fprintf(&pages[0], "%s %v\n", series, v)
			fmt.Fprintf(&pages[1], "%s %v\n", series, later)
			s.Metric["namespace"], s.Metric["pod"] = "ml", "a"
			data[s.Metric.String()] = []scraped{{30 * time.Second, v}, {0, later}}
		}
	}
}
