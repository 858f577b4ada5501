package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

func TestValuesThatCannotBe(t *testing.T) {
	tests := []struct {
		value string
		want  string // the reading, or why it was dropped
	}{
		{"0", "0"},
		{"-0", "0"},
		{"99.9", "99.9"},
		{"100", "100"},
		{"100.01", "100"},
		{"105", "100"},
		{"105.01", string(OutOfRange)},
		{"4294967295", string(OutOfRange)},
		{"9223372036854775794", string(OutOfRange)},
		{"808334905", string(OutOfRange)},
		{"-1", string(Negative)},
		{"-0.0001", string(Negative)},
		{"NaN", string(NotANumber)},
		{"+Inf", string(Infinite)},
		{"-Inf", string(Infinite)},
		{"1e999", string(Infinite)},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			p := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				answer(w, 200, "application/json", vectorOf(tt.value))
			})
			result, err := readUtilization(p)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if reading, ok := result.Samples.Get("ml", "a"); ok {
				got = text(reading.Value)
			}
			for _, drop := range result.Dropped {
				if drop.Count != 1 {
					t.Errorf("%+v", drop)
				}
				got += string(drop.Why)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNoNamespacesNoQuery(t *testing.T) {
	p := serve(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("a query was sent") })
	result, err := p.Read(context.Background(), policy.QueueDepth, nil)
	if err != nil || result.Samples.Len() != 0 {
		t.Errorf("%v, %v", result, err)
	}
}

func TestUnknownSignal(t *testing.T) {
	p := serve(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("a query was sent") })
	if _, err := p.Read(context.Background(), "my-queue", []string{"ml"}); !errors.Is(err, ErrNoSource) {
		t.Errorf("error %v", err)
	}
}

// TestSplitQueries: a long list of namespaces becomes several queries that together ask for each exactly once, and one
// failing query voids the read.
func TestSplitQueries(t *testing.T) {
	var namespaces []string
	for i := range 3000 {
		namespaces = append(namespaces, fmt.Sprintf("team-%04d", i))
	}
	var count atomic.Int32
	var failing atomic.Bool
	p := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		if failing.Load() && strings.Contains(query, "team-2999") {
			answer(w, 500, "text/plain", "")
			return
		}
		if count.Add(1); len(query) > maxQueryPOST {
			t.Errorf("a query of %d bytes", len(query))
		}
		answer(w, 200, "application/json", teamsOf(query))
	})
	result, err := p.Read(context.Background(), policy.QueueDepth, namespaces)
	if err != nil {
		t.Fatal(err)
	}
	if n := count.Load(); n < 2 || n > 20 {
		t.Errorf("%d queries", n)
	}
	for i, ns := range namespaces {
		if got, ok := result.Samples.Get(ns, "p"); !ok || got.Value != float64(i) {
			t.Fatalf("%s: %+v, %v", ns, got, ok)
		}
	}
	failing.Store(true)
	if result, err := p.Read(context.Background(), policy.QueueDepth, namespaces); !errors.Is(err, ErrUnavailable) || result.Samples.Len() > 0 {
		t.Errorf("with one query failing: %v, %v", result.Samples.Len(), err)
	}
}

// teamsOf answers a query with one series for each namespace in its first matcher: the namespace's number.
func teamsOf(query string) string {
	_, rest, _ := strings.Cut(query, `=~"`)
	list, _, _ := strings.Cut(rest, `"`)
	var series []string
	for ns := range strings.SplitSeq(list, "|") {
		series = append(series, fmt.Sprintf(`{"metric":{"namespace":%q,"pod":"p","source":"tgi_queue_size"},"value":[1,"%s"]}`,
			ns, strings.TrimPrefix(ns, "team-")))
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`
}

func TestReadRangeRefuses(t *testing.T) {
	p := serve(t, Options{}, func(http.ResponseWriter, *http.Request) { t.Error("a query was sent") })
	start := time.Unix(1767225600, 0)
	for name, span := range map[string]struct{ length, step time.Duration }{
		"step":  {time.Hour, 0},
		"end":   {-time.Second, time.Minute},
		"steps": {24 * time.Hour, time.Second},
	} {
		_, err := p.ReadRange(context.Background(), policy.QueueDepth, []string{"ml"}, start, start.Add(span.length), span.step)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestErrorsAreShort(t *testing.T) {
	long := "reading\nwith Bearer abcdef and eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMzQ1Njc4OTAi0 " + strings.Repeat("é", 500)
	got := excerpt(long)
	if strings.Contains(got, "abcdef") || strings.Contains(got, "eyJ") || strings.Contains(got, "\n") || len(got) > excerptBytes+3 {
		t.Errorf("excerpt %q", got)
	}
	if got := excerpt("metric DCGM_FI_PROF_PIPE_TENSOR_ACTIVE_WITH_LONG_NAME failed"); strings.Contains(got, "redacted") {
		t.Errorf("excerpt %q", got)
	}
}
