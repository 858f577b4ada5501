package metrics

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// matrix answers with a matrix and notes the query.
func matrix(query *string, result string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		*query = r.FormValue("query")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":%s}}`, result)
	}
}

// The history of a query comes by time, each with the namespace's matcher in it.
func TestReadQueryRange(t *testing.T) {
	var query string
	p := serve(t, Options{}, matrix(&query, `[{"metric":{"pod":"a"},"values":[[100,"1"],[130,"3"]]},{"metric":{"pod":"b"},"values":[[130,"5"]]}]`))
	results, err := p.ReadQueryRange(context.Background(), Query{Name: "q", Query: `busy{deployment="$deployment"}`}, "ml", "llm", time.Unix(100, 0), time.Unix(130, 0), 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || results[0].Samples.Len() != 1 || results[1].Samples.Len() != 2 || !results[1].ServerTime.Equal(time.Unix(130, 0)) {
		t.Errorf("results %+v", results)
	}
	if b, ok := results[1].Samples.Get("ml", "b"); !ok || b.Value != 5 {
		t.Errorf("pod b reads %v (%v), want 5", b.Value, ok)
	}
	if !strings.Contains(query, `namespace="ml"`) || !strings.Contains(query, `deployment="llm"`) {
		t.Errorf("query %s", query)
	}
}

func TestReadQueryRangeRefuses(t *testing.T) {
	var query string
	p := serve(t, Options{}, matrix(&query, `[{"metric":{"gpu":"0"},"values":[[100,"1"]]},{"metric":{"gpu":"1"},"values":[[100,"3"]]}]`))
	read := func(length, step time.Duration) error {
		_, err := p.ReadQueryRange(context.Background(), Query{Name: "q", Query: "busy"}, "ml", "llm", time.Unix(100, 0), time.Unix(100, 0).Add(length), step)
		return err
	}
	if err := read(time.Minute, 15*time.Second); err == nil || !strings.Contains(err.Error(), "2 series without a pod") {
		t.Errorf("two series without a pod: %v", err)
	}
	query = ""
	for name, err := range map[string]error{"step": read(time.Hour, 0), "end": read(-time.Second, time.Minute), "steps": read(24*time.Hour, time.Second)} {
		if err == nil || query != "" {
			t.Errorf("%s: error %v, and the query %q was sent", name, err, query)
		}
	}
}
