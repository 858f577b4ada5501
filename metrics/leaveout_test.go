package metrics

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// flooded answers with one pod of each namespace that is asked for, and with a flood of series of those that begin with bad.
type flooded struct {
	flood   int
	queries []string
}

// RoundTrip answers a query.
func (f *flooded) RoundTrip(r *http.Request) (*http.Response, error) {
	_ = r.ParseForm()
	query := r.Form.Get("query")
	f.queries = append(f.queries, query)
	var series []string
	add := func(namespace, pod string) {
		series = append(series, fmt.Sprintf(`{"metric":{"namespace":%q,"pod":%q,"source":"vLLM"},"value":[1767225600,"4"]}`, namespace, pod))
	}
	for _, namespace := range []string{"bad-1", "bad-2", "good"} {
		if !strings.Contains(query, namespace) {
			continue
		}
		add(namespace, "pod")
		for n := range f.flood {
			if namespace != "good" {
				add(namespace, fmt.Sprint("made-up-", n))
			}
		}
	}
	body := &strings.Reader{}
	body.Reset(`{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: nopCloser{body}, Request: r}, nil
}

type nopCloser struct{ *strings.Reader }

// Close does nothing.
func (nopCloser) Close() error { return nil }

// Namespaces that flood the reply are left out, in the same read, and after five minutes they get another chance. The others are read.
func TestFloodOfOneNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &flooded{flood: 2000}
		p, err := NewPrometheus(Options{ClientOptions: ClientOptions{URL: "http://prometheus", Transport: server, MaxBytes: 100_000}})
		if err != nil {
			t.Fatal(err)
		}
		all := []string{"bad-1", "bad-2", "good"}
		read := func(wantQueries int, wantPods ...string) {
			t.Helper()
			server.queries = nil
			result, err := p.Read(t.Context(), policy.QueueDepth, all)
			if err != nil {
				t.Fatal(err)
			}
			var pods []string
			for _, namespace := range all {
				if _, ok := result.Samples.Get(namespace, "pod"); ok {
					pods = append(pods, namespace)
				}
			}
			if fmt.Sprint(pods) != fmt.Sprint(wantPods) || len(server.queries) != wantQueries {
				t.Errorf("pods of %v after %d queries, want %v after %d", pods, len(server.queries), wantPods, wantQueries)
			}
			if flooded := len(wantPods) < len(all); flooded != (len(result.Dropped) == 1 && result.Dropped[0].Why == TooMany && result.Dropped[0].Count > 500) {
				t.Errorf("dropped %v", result.Dropped)
			}
		}
		read(3, "good")
		time.Sleep(leftOutFor - time.Second)
		read(1, "good")
		time.Sleep(time.Second)
		read(3, "good")
		server.flood = 0
		time.Sleep(leftOutFor)
		read(1, all...)
	})
}

// Where no namespace has most of a reply that is too large, none is left out.
func TestLargeReplyOfMany(t *testing.T) {
	p, err := NewPrometheus(Options{ClientOptions: ClientOptions{URL: "http://prometheus", Transport: &flooded{}, MaxBytes: 300}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(t.Context(), policy.QueueDepth, []string{"bad-1", "bad-2", "good"}); !errors.Is(err, errTooLarge) || !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, want it refused as too large", err)
	}
}

// A pod of which someone makes up exporters without end takes no time: hundreds of thousands of series of one pod are read, or refused, at
// once, and counted.
func TestManyExportersOfOnePod(t *testing.T) {
	spec, err := specOf(policy.QueueDepth)
	if err != nil {
		t.Fatal(err)
	}
	g := newGatherer(spec, 0)
	var labels labelSet
	labels[fieldNamespace], labels[fieldExportedPod] = "bad", "pod"
	const many = 300_000
	for n := range many {
		labels[fieldPod] = fmt.Sprint(n)
		g.add(&labels, 1, 4)
	}
	var counts [len(whys)]int
	g.dropped(&counts)
	if len(g.views) > maxViews+1 || counts[whyTooMany] != many-len(g.views) {
		t.Errorf("%d views, %v dropped", len(g.views), counts)
	}
}
