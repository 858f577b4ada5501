package promql

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/gpuscaler/gpuscaler/metrics"
)

// now is the server's time in all tests. It is far from the machine's clock, so that a client that used its own would
// find nothing.
var now = time.Date(2031, 5, 6, 7, 8, 9, 500e6, time.UTC)

// scraped is a sample: so long ago, such a value.
type scraped struct {
	ago   time.Duration
	value float64
}

// stale marks the end of a series, as Prometheus does when a target or a series is gone.
var stale = math.Float64frombits(value.StaleNaN)

// last is one sample of 10 s ago.
func last(v float64) []scraped { return []scraped{{10 * time.Second, v}} }

// counter is a counter scraped every 15 s for five minutes up to 10 s ago, growing by so much per second.
func counter(perSecond float64) []scraped {
	var samples []scraped
	for ago := 310; ago >= 10; ago -= 15 {
		samples = append(samples, scraped{time.Duration(ago) * time.Second, 1000 + perSecond*float64(310-ago)})
	}
	return samples
}

// database maps series, in PromQL's notation, to their samples, oldest first.
type database map[string][]scraped

// server is a Prometheus without the scraping.
type server struct {
	t      *testing.T
	db     *tsdb.DB
	engine *promql.Engine
}

// newServer loads the samples. delayed switches the engine's delayed removal of metric names on, which some servers
// run with.
func newServer(t *testing.T, data database, delayed bool) *server {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = -1
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	pql := parser.NewParser(parser.Options{})
	appender := db.Appender(context.Background())
	for series, samples := range data {
		metric, err := pql.ParseMetric(series)
		if err != nil {
			t.Fatalf("%s: %v", series, err)
		}
		for _, s := range samples {
			if _, err := appender.Append(0, metric, now.Add(-s.ago).UnixMilli(), s.value); err != nil {
				t.Fatalf("%s: %v", series, err)
			}
		}
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true,
		EnableNegativeOffset: true, EnableDelayedNameRemoval: delayed, Parser: pql,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 60000 },
	})
	t.Cleanup(func() { _ = engine.Close() })
	return &server{t: t, db: db, engine: engine}
}

// reader starts serving and returns the client under test.
func (s *server) reader(get bool) *metrics.Prometheus {
	s.t.Helper()
	front := httptest.NewServer(s)
	s.t.Cleanup(front.Close)
	p, err := metrics.NewPrometheus(metrics.Options{ClientOptions: metrics.ClientOptions{URL: front.URL, GET: get}})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// ServeHTTP answers queries at the time now, in Prometheus' own encoding.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := s.query(r)
	if err != nil {
		s.respond(w, http.StatusBadRequest, &apiv1.Response{Status: "error", ErrorType: "bad_data", Error: err.Error()})
		return
	}
	defer query.Close()
	result := query.Exec(r.Context())
	if result.Err != nil {
		s.respond(w, http.StatusUnprocessableEntity, &apiv1.Response{Status: "error", ErrorType: "execution", Error: result.Err.Error()})
		return
	}
	warnings, infos := result.Warnings.AsStrings(r.FormValue("query"), 10, 10)
	s.respond(w, http.StatusOK, &apiv1.Response{
		Status: "success", Warnings: warnings, Infos: infos,
		Data: &apiv1.QueryData{ResultType: result.Value.Type(), Result: result.Value},
	})
}

func (s *server) query(r *http.Request) (promql.Query, error) {
	text := r.FormValue("query")
	if !strings.HasSuffix(r.URL.Path, "_range") {
		return s.engine.NewInstantQuery(r.Context(), s.db, nil, text, now)
	}
	start, end := seconds(s.t, r.FormValue("start")), seconds(s.t, r.FormValue("end"))
	step := time.Duration(seconds(s.t, r.FormValue("step")).UnixNano())
	return s.engine.NewRangeQuery(r.Context(), s.db, nil, text, start, end, step)
}

func seconds(t *testing.T, s string) time.Time {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Errorf("parameter %q is no number", s)
	}
	return time.UnixMilli(int64(math.Round(v * 1000)))
}

func (s *server) respond(w http.ResponseWriter, status int, response *apiv1.Response) {
	body, err := apiv1.JSONCodec{}.Encode(response)
	if err != nil {
		s.t.Errorf("encoding the answer: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
