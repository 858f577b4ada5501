package controller

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/gpuscaler/gpuscaler/policy"
)

// replays decides again from what was written down, as JSON, and wants the same outcome to the byte.
func replays(t *testing.T, r *Record) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read Record
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if read.Input == nil {
		t.Fatalf("no input in %s", text)
	}
	again, _ := read.Input.Decide()
	want, _ := json.Marshal(read.Decision)
	got, _ := json.Marshal(again.Outcome())
	if string(got) != string(want) {
		t.Errorf("told\n%s\nreplayed\n%s", want, got)
	}
}

// TestHistory: stretches of equal decisions are one record, with the input of the first and the number of ticks; all of them replay.
func TestHistory(t *testing.T) {
	c, reader := fleetOf(t, 1)
	now := noon
	for i := range 40 {
		for k := range reader {
			reader[k] = []float64{50, 50.5, 70, 20}[i/10]
		}
		now = now.Add(5 * time.Second)
		c.Tick(t.Context(), now)
		c.writes.wait(t.Context()) // in a tick with a write under way nothing is decided
	}
	w := &c.Snapshot().Workloads[0]
	h := w.History(time.Time{})
	ticks := 0
	for i := range h.Records {
		replays(t, &h.Records[i])
		ticks += h.Records[i].Ticks
	}
	if ticks != 40 || len(h.Records) < 3 || len(h.Records) > 20 {
		t.Errorf("%d ticks in %d records", ticks, len(h.Records))
	}
	replays(t, h.Latest)
	if !h.Latest.Last.Equal(now) || h.Latest.Input.Seen.Readings[0].Samples[0].Value != 20 || len(h.Latest.Input.Seen.Pods) != 10 {
		t.Errorf("the latest is %+v", h.Latest)
	}
	if since := w.History(now.Add(-time.Second)); len(since.Records) != 1 {
		t.Errorf("%d records of the last second", len(since.Records))
	}
	rows := w.Rows()
	if len(rows) != 21 || rows[0].Max != 20 || rows[len(rows)-1].Signals[0].Value != 20 { // at 3 h / 1440 points, rounded up to 10 s
		t.Errorf("%d rows, the last %+v", len(rows), rows[len(rows)-1])
	}
}

// TestHistoryIsBounded: a restless target keeps to its share, and its newest decisions.
func TestHistoryIsBounded(t *testing.T) {
	target := &target{asked: asked{spec: &policy.Spec{}}}
	var h history
	const share = 20_000
	for i := range 1000 {
		target.decision = &policy.Decision{Time: noon.Add(time.Duration(i) * time.Second), Current: i}
		h.note(target, &policy.State{}, &policy.Observation{}, nil, share)
	}
	n := len(h.stretches)
	if n < leastStretches || n > share/500 || h.bytes > share || h.stretches[n-1].decision.Current != 999 {
		t.Errorf("%d stretches of %d bytes, the last is %d", n, h.bytes, h.stretches[n-1].decision.Current)
	}
	var tr trace
	for i := range 5000 {
		target.decision.Time = noon.Add(time.Duration(i) * 10 * time.Second)
		tr.add(target, 5*time.Second, 10)
	}
	if len(tr.points) != mostPoints {
		t.Errorf("%d points", len(tr.points))
	}
}

// TestHistoryOfVeryMany: where the share of each is small, only the latest decision keeps what it was made from.
func TestHistoryOfVeryMany(t *testing.T) {
	target := &target{asked: asked{spec: &policy.Spec{}}}
	var h history
	const share = historyBudget / 10_000
	seen := &policy.Observation{Readings: []policy.Reading{{Samples: make([]policy.Sample, 10)}}}
	for i := range 20 {
		target.decision = &policy.Decision{Time: noon.Add(time.Duration(i) * time.Second), Current: i}
		h.note(target, &policy.State{}, seen, slices.Repeat([]*pod{{}}, 10), share)
	}
	if n := len(h.stretches); n != leastStretches || h.bytes > 3*int(unsafe.Sizeof(policy.Decision{})) {
		t.Errorf("%d stretches of %d bytes", n, h.bytes)
	}
	kept := (&Workload{history: &h}).History(time.Time{})
	if last := kept.Records[leastStretches-1]; last.Input != nil || last.Decision.Current != 19 {
		t.Errorf("the last record is %+v", last)
	}
	if kept.Latest == nil || kept.Latest.Input == nil || len(kept.Latest.Input.Seen.Readings[0].Samples) != 10 {
		t.Errorf("the latest is %+v", kept.Latest)
	}
}

// TestServeHistory: the API serves it, and refuses what it cannot understand.
func TestServeHistory(t *testing.T) {
	c, _ := fleetOf(t, 1)
	c.Tick(t.Context(), noon)
	for path, want := range map[string]int{"": 200, "?since=1h": 200, "?since=-1h": 400, "?since=yesterday": 400} {
		w := httptest.NewRecorder()
		c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/workloads/team-00/model-server-00000/history"+path, nil))
		var h History
		if w.Code != want || want == 200 && (json.Unmarshal(w.Body.Bytes(), &h) != nil || len(h.Records) != 1 || h.Name == "") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/workloads/team-00/nobody/history", nil))
	if w.Code != 404 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestTraceWidens: a signal that is asked for later has no values before.
func TestTraceWidens(t *testing.T) {
	target := &target{}
	var h history
	for i, signals := range [][]policy.SignalDecision{
		{{Signal: policy.QueueDepth, Value: 3, Target: 2, Sampled: 1}},
		{{Signal: policy.KVCache, Value: 70, Target: 80, Sampled: 1}, {Signal: policy.QueueDepth, Target: 2}},
	} {
		target.decision = &policy.Decision{Time: noon.Add(time.Duration(i) * time.Minute), Current: 70000, Signals: signals}
		h.trace.add(target, 5*time.Second, 1)
	}
	rows := (&Workload{history: &h}).Rows()
	got := fmt.Sprint(rows[0].Signals, rows[1].Signals, rows[0].Replicas)
	if want := "[{queue-depth 3 2} {kv-cache NaN 0}] [{queue-depth NaN 2} {kv-cache 70 80}] 65535"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
