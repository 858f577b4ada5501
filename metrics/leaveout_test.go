package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// hangs says that a flood does not come to an end.
	hangs bool
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
	text := `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",")
	body := io.Reader(strings.NewReader(text + `]}}`))
	if f.hangs && len(series) > 3 {
		body = io.MultiReader(strings.NewReader(text), hanging{r.Context()})
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body), Request: r}, nil
}

// hanging says nothing more.
type hanging struct{ ctx context.Context }

// Read waits for the end of the request.
func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// A flood that does not come to an end in time costs that read, and from the next one on its namespace is left out, each time for longer.
func TestFloodThatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &flooded{flood: floodedSeries, hangs: true}
		p, err := NewPrometheus(Options{ClientOptions: ClientOptions{URL: "http://prometheus", Transport: server}})
		if err != nil {
			t.Fatal(err)
		}
		read := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := p.Read(ctx, policy.QueueDepth, []string{"bad-1", "good"})
			return err
		}
		for _, pause := range []time.Duration{slowFor, 2 * slowFor, 4 * slowFor, 8 * slowFor, leftOutFor, leftOutFor} {
			if err := read(); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%v, want it too late", err)
			}
			if err := read(); err != nil {
				t.Fatalf("without it: %v", err)
			}
			time.Sleep(pause - time.Second)
			if err := read(); err != nil {
				t.Fatalf("before %v are over: %v", pause, err)
			}
			time.Sleep(time.Second)
		}
		server.flood = 10 // few series are no reason to be late: nobody is to blame
		if err := read(); err == nil || len(p.without(policy.QueueDepth, []string{"bad-1"})) != 1 {
			t.Errorf("%v, and %v is left out", err, p.left)
		}
	})
}

// Of more pods than any fleet has no more are kept, and the reading ends.
func TestTooManyPods(t *testing.T) {
	server := &flooded{flood: maxSeries + 1, hangs: true}
	p, err := NewPrometheus(Options{ClientOptions: ClientOptions{URL: "http://prometheus", Transport: server}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := p.Read(t.Context(), policy.QueueDepth, []string{"bad-1", "good"})
	if _, ok := result.Samples.Get("good", "pod"); err != nil || !ok || len(server.queries) != 2 {
		t.Errorf("%d queries and %v, want the good one's pod after the second", len(server.queries), err)
	}
}

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
	g := newGatherer(spec)
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
