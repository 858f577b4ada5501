package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/gpuscaler/gpuscaler/cmd/logging"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// TestReadings hands the controller what was read: by pod, with ages kept, with what was dropped.
func TestReadings(t *testing.T) {
	server := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC) // an hour behind this process
	arrived := server.Add(time.Hour)
	r := readingsOf(metrics.Result{
		ServerTime: server,
		Samples: metrics.NewSamples(map[metrics.PodKey]metrics.Reading{
			{Namespace: "a", Pod: "x"}: {Value: 7, Source: "m"},
			{Namespace: "a", Pod: "y"}: {Value: 8, Time: server.Add(-time.Minute)},
		}),
		Dropped: []metrics.Drop{{Why: metrics.Negative, Count: 3}},
	}, arrived)
	if s, from := r.Pod("a", "x"); s != (policy.Sample{Value: 7, OK: true}) || from != "m" {
		t.Errorf("a/x: got %+v from %q", s, from)
	}
	if s, _ := r.Pod("a", "y"); s != (policy.Sample{Value: 8, Time: arrived.Add(-time.Minute), OK: true}) {
		t.Errorf("a/y: got %+v, want a sample one minute old by this process's clock", s)
	}
	if s, _ := r.Pod("b", "x"); s.OK {
		t.Errorf("b/x: got %+v, want none", s)
	}
	if len(r.Dropped) != 1 || r.Dropped[0].Why != "negative" || r.Dropped[0].Count != 3 {
		t.Errorf("dropped: got %+v", r.Dropped)
	}
}

// TestTimes hands the controller when samples were taken, by this process's clock, and never later than it was.
func TestTimes(t *testing.T) {
	var reply string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`+reply+`]}}`)
	}))
	defer server.Close()
	f := sourceFlags{url: server.URL}
	s, err := f.open(t.Context(), nil, prometheusOptions(time.Second, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	// The server's clock says 1000 s after 1970, and the sample is 7 s old.
	reply = `{"metric":{"namespace":"a","pod":"x"},"value":[1000,"993"]}`
	before := time.Now()
	times, err := s.ReadTimes(t.Context(), policy.GPUUtilization, []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	sample, _ := times.Pod("a", "x")
	if at := before.Add(-7 * time.Second); !sample.OK || sample.Time.Before(at) || sample.Time.After(time.Now().Add(-7*time.Second)) {
		t.Errorf("got %+v, want 7 s before %v", sample, before)
	}
	if sample, _ := times.Pod("a", "y"); sample.OK {
		t.Errorf("a/y: got %+v, want none", sample)
	}
	if _, err := (reader{}).ReadTimes(t.Context(), policy.GPUUtilization, nil); !errors.Is(err, errNoPrometheus) {
		t.Errorf("no Prometheus: got %v", err)
	}
}

// TestPartialReply wants a reply with warnings to be told as partial: it is neither data nor a failure.
func TestPartialReply(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["a store is gone"]}`)
	}))
	defer server.Close()
	f := sourceFlags{url: server.URL}
	s, err := f.open(t.Context(), nil, prometheusOptions(time.Second, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	readings, err := s.Read(t.Context(), policy.QueueDepth, []string{"a"})
	if err != nil || !strings.Contains(readings.Partial, "a store is gone") {
		t.Errorf("got %+v, %v", readings, err)
	}
}

// TestQueries hands the controller what a named query answers.
func TestQueries(t *testing.T) {
	reply := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.FormValue("query"); !strings.Contains(query, `namespace="team"`) {
			t.Errorf("the query %s is not bound to the namespace", query)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`+reply+`]}}`)
	}))
	defer server.Close()
	prometheus, err := metrics.NewPrometheus(metrics.Options{ClientOptions: metrics.ClientOptions{URL: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/queries.yaml")
	if err != nil {
		t.Fatal(err)
	}
	queries, err := metrics.ParseQueries(text)
	if err != nil {
		t.Fatal(err)
	}
	q := queryReader{prometheus, queries}
	for _, c := range []struct {
		name, query, reply string
		workload           *policy.Sample
		pod                policy.Sample // of team/x
	}{
		{"one series", "gateway-queue", `{"metric":{},"value":[1,"12"]}`, &policy.Sample{Value: 12, OK: true}, policy.Sample{}},
		{"NaN", "gateway-queue", `{"metric":{},"value":[1,"NaN"]}`, &policy.Sample{}, policy.Sample{}},
		{"a series per pod", "slots", `{"metric":{"pod":"x"},"value":[1,"3"]}`, nil, policy.Sample{Value: 3, OK: true}},
		{"no series", "gateway-queue", "", nil, policy.Sample{}},
	} {
		reply = c.reply
		r, err := q.ReadQuery(t.Context(), c.query, "team", "llm")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var pod policy.Sample
		if r.Pod != nil {
			pod, _ = r.Pod("team", "x")
		}
		if pod != c.pod || (r.Workload == nil) != (c.workload == nil) || r.Workload != nil && *r.Workload != *c.workload {
			t.Errorf("%s: got %+v and %+v of the pod, want %+v and %+v", c.name, r.Workload, pod, c.workload, c.pod)
		}
	}
	if _, err := q.ReadQuery(t.Context(), "bogus", "team", "llm"); err == nil || !strings.Contains(err.Error(), `"bogus"`) {
		t.Errorf("a query that is not defined: got %v", err)
	}
	if _, err := (queryReader{}).ReadQuery(t.Context(), "slots", "team", "llm"); !errors.Is(err, errNoPrometheus) {
		t.Errorf("no Prometheus: got %v", err)
	}
}

// TestLog wants our lines and client-go's in one log, each with its level and logger.
func TestLog(t *testing.T) {
	for _, c := range []struct {
		verbosity logging.Verbosity
		make      func(*logFlags, io.Writer) logr.Logger
		want      string // messages
	}{
		{0, (*logFlags).logger, "ours,ours failed,theirs,theirs failed"},
		{2, (*logFlags).logger, "ours,ours 2,ours failed,theirs,theirs 2,theirs failed"},
		{0, (*logFlags).errorLogger, "ours failed,theirs failed"},
		{0, (*logFlags).quietLogger, ""},
		{2, (*logFlags).quietLogger, "ours,ours 2,ours failed,theirs,theirs 2,theirs failed"},
	} {
		var out bytes.Buffer
		flags := logFlags{logging.Flags{Verbosity: c.verbosity, Format: logging.Choice{Value: logging.JSON}}}
		log := c.make(&flags, &out)
		log.Info("ours")
		log.V(2).Info("ours 2")
		log.V(3).Info("ours 3")
		log.Error(errors.New("why"), "ours failed")
		klog.Background().Info("theirs")
		klog.V(2).InfoS("theirs 2")
		klog.V(3).InfoS("theirs 3")
		klog.ErrorS(errors.New("why"), "theirs failed")
		var messages []string
		for line := range strings.Lines(out.String()) {
			var entry struct{ Msg, Logger, Error string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if theirs := strings.HasPrefix(entry.Msg, "theirs"); theirs != (entry.Logger == "client-go") {
				t.Errorf("%q is logged by %q", entry.Msg, entry.Logger)
			}
			messages = append(messages, entry.Msg)
		}
		if got := strings.Join(messages, ","); got != c.want {
			t.Errorf("-v %d: got %q, want %q", c.verbosity, got, c.want)
		}
	}
	klog.ClearLogger()
}

// TestHangingPrometheusIsNamed wants to be told which server does not answer, not just that a time is over.
func TestHangingPrometheusIsNamed(t *testing.T) {
	api := newAPIServer(t)
	over := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	defer hanging.Close()
	defer close(over)
	got := invoke(t, "", "plan", "deployment/vision", "-o", "json", "--interval=500ms", "--kubeconfig", api.kubeconfig, "--prometheus-url", hanging.URL)
	for _, want := range []string{`"reason": "NoData"`, "querying Prometheus at " + hanging.URL + ": unreachable: no complete reply within the time limit"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

// TestServeWhile serves as long as the function runs, and ends it when serving fails.
func TestServeWhile(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	listener, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("it went wrong")
	err = serveWhile(t.Context(), listener, hello, logr.Discard(), func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listener.Addr().String(), nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if text, _ := io.ReadAll(response.Body); string(text) != "hello" {
			t.Errorf("got %q", text)
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("got %v, want the function's own error", err)
	}

	listener, err = listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = serveWhile(t.Context(), listener, hello, logr.Discard(), func(ctx context.Context) error {
		_ = listener.Close()
		<-ctx.Done()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "serving at") {
		t.Errorf("a listener that fails: got %v", err)
	}
}

func TestListen(t *testing.T) {
	first, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := listen(t.Context(), "listen", first.Addr().String()); err == nil || !strings.Contains(err.Error(), "--listen "+first.Addr().String()) {
		t.Errorf("a port that is taken: got %v", err)
	}
	if none, err := listen(t.Context(), "listen", ""); none != nil || err != nil {
		t.Errorf("no address: got %v, %v", none, err)
	}
	_, port, err := net.SplitHostPort(first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got := reachableAt(first, "10.0.0.1"); got != "127.0.0.1:"+port {
		t.Errorf("a listener on one address is reached at %q", got)
	}
	all, err := listen(t.Context(), "listen", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if got := reachableAt(all, "10.0.0.1"); !strings.HasPrefix(got, "10.0.0.1:") {
		t.Errorf("a listener on all addresses of a pod is reached at %q", got)
	}
	if got := reachableAt(nil, "10.0.0.1"); got != "" {
		t.Errorf("no listener is reached at %q", got)
	}
}
