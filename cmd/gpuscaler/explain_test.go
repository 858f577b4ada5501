package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// pastOfVision is a history of decisions in which the load rises and falls, as a controller would keep it.
func pastOfVision(t *testing.T) controller.History {
	t.Helper()
	spec, problems := policy.Parse(map[string]string{
		"gpuscaler.io/enabled": "true", "gpuscaler.io/max-replicas": "8", "gpuscaler.io/target.queue-depth": "5",
		"gpuscaler.io/scale-up.stabilization": "30s", "gpuscaler.io/scale-down.stabilization": "1m",
	}, policy.Settings{MaxSampleAge: 90 * time.Second, Interval: 15 * time.Second})
	if problems != nil {
		t.Fatal(problems)
	}
	h := controller.History{Namespace: "team", Name: "vision"}
	in := policy.Input{Spec: spec, Seen: policy.Observation{Replicas: 2}}
	for tick, queue := range []float64{5, 5, 12, 12, 12, 12, 1, 1, 1, 1} {
		in.Time = time.Date(2026, 1, 5, 8, 0, 15*tick, 0, time.UTC)
		o := &in.Seen
		o.Hand = policy.Hand{By: policy.OurHand}
		o.Pods, o.Readings = nil, []policy.Reading{{Signal: policy.QueueDepth, Source: "vllm:num_requests_waiting"}}
		for i := range o.Replicas {
			o.Pods = append(o.Pods, policy.Pod{Name: fmt.Sprintf("vision-%d", i), Phase: policy.Ready, Served: true})
			// The last pod's exporter is never scraped.
			o.Readings[0].Samples = append(o.Readings[0].Samples, policy.Sample{Value: queue, Time: in.Time.Add(-3 * time.Second), OK: i < 4})
		}
		recorded := in
		recorded.Seen = o.Clone()
		d, next := in.Decide()
		h.Records = append(h.Records, controller.Record{Input: &recorded, Decision: d.Outcome(), Last: in.Time, Ticks: 1})
		in.State, o.Replicas, h.Time = next.Wrote(d, in.Time), d.Desired, in.Time
	}
	h.Latest = &h.Records[len(h.Records)-1]
	return h
}

// tells has the API server's service proxy lead to a controller that tells a history.
func (s *apiServer) tells(t *testing.T, h controller.History) {
	s.controller = func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/proxy/api/v1/workloads/team/vision/history") || r.URL.Query().Get("since") == "" {
			t.Errorf("asked for %s", r.URL)
		}
		writeObject(w, h)
	}
}

// TestExplain runs explain with and without a running controller.
func TestExplain(t *testing.T) {
	other := pastOfVision(t)
	latest := *other.Latest
	other.Latest = &latest
	latest.Decision.Desired, latest.Decision.Message = 5, "told by another version"
	invalid := controller.History{Namespace: "team", Name: "vision", Latest: &controller.Record{
		Decision: policy.Outcome{Current: 2, Summary: policy.Summary{Desired: 2, Reason: policy.InvalidAnnotations, Message: "the annotations are invalid: replicas stay at 2"}},
		Last:     latest.Last, Ticks: 1,
	}}
	past := pastOfVision(t)
	for _, c := range []struct {
		golden string
		told   *controller.History
		args   []string
	}{
		{"explain.golden", &past, []string{"deployment/vision"}},
		{"explain-json.golden", &past, []string{"vision", "-o", "json"}},
		{"explain-history.golden", &past, []string{"vision", "--history", "1h"}},
		{"explain-history-yaml.golden", &controller.History{Namespace: "team", Name: "vision", Records: past.Records[:1]}, []string{"vision", "--history", "1h", "-o", "yaml"}},
		{"explain-history-empty.golden", &controller.History{}, []string{"vision", "--history", "1h"}},
		{"explain-other-version.golden", &other, []string{"vision"}},
		{"explain-invalid.golden", &invalid, []string{"vision"}},
		{"explain-computed.golden", nil, []string{"vision"}},
		{"explain-computed-broken.golden", nil, []string{"broken"}},
		{"explain-history-none.golden", nil, []string{"vision", "--history", "1h"}},
		{"explain-missing.golden", nil, []string{"nope"}},
		{"explain-bystander.golden", nil, []string{"bystander"}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			api := newAPIServer(t)
			if c.told != nil {
				api.tells(t, *c.told)
			}
			began := time.Now()
			got := invoke(t, "", append([]string{"explain", "--kubeconfig", api.kubeconfig, "--prometheus-url=kube://monitoring/prometheus:9090"}, c.args...)...)
			text := got.String()
			if c.told == nil {
				text = regexp.MustCompile(`\d\d:\d\d:\d\dZ`).ReplaceAllString(steady(text), "CLOCK")
			}
			text = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).ReplaceAllString(text, "http://SERVER")
			golden(t, c.golden, strings.ReplaceAll(text, readVersion().Version, "VERSION"))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if found := api.mutations(); len(found) > 0 {
				t.Errorf("requests that are no reads: %q", found)
			}
		})
	}
}

// TestExplainUsage refuses command lines that make no sense.
func TestExplainUsage(t *testing.T) {
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no Deployment: name one, as in deployment/NAME", nil},
		{"one Deployment at most", []string{"a", "b"}},
		{"only Deployments are scaled", []string{"statefulset/a"}},
		{"--history -1h0m0s must be a time before now", []string{"a", "--history=-1h"}},
		{"give one of them", []string{"a", "--replay", "x"}},
		{"--history and --replay exclude each other", []string{"--history", "1h", "--replay", "x"}},
		{"--controller-url", []string{"a", "--controller-url", "http://x"}},
	} {
		if got := invoke(t, "", append([]string{"explain"}, c.args...)...); got.code != 2 || got.out != "" || !strings.Contains(got.err, c.want) {
			t.Errorf("%q: want %q, got\n%v", c.args, c.want, got)
		}
	}
	golden(t, "help-explain.golden", invoke(t, "", "explain", "--help").String())
}

// record writes a value into a file as explain prints it.
func record(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "recording.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplay: what was recorded replays to the same outcome, and what was edited is found.
func TestReplay(t *testing.T) {
	h := pastOfVision(t)
	edited := pastOfVision(t)
	edited.Records[3].Decision.Desired = 7
	edited.Records[3].Decision.Stages[1].Reason = policy.Gap
	edited.Records = append(edited.Records, controller.Record{Ticks: 1})
	for name, c := range map[string]struct {
		value any
		want  string
		code  int
	}{
		"history":  {h, "11 of 11 decisions replay to the same outcome\n", 0},
		"record":   {h.Records[4], "1 of 1 decisions replay to the same outcome\n", 0},
		"input":    {h.Latest.Input, "What would change it", 0},
		"edited":   {edited, "decision 4, of 2026-01-05T08:00:45Z:\n  desired: recorded 7, replayed 5\n  stages[1].reason: recorded \"Gap\", replayed \"DesiredWithinRange\"\n10 of 11 decisions replay to the same outcome; 1 had no input", 1},
		"nothing":  {struct{}{}, `it has neither "records"`, 1},
		"a number": {7, "it is not JSON as explain prints it", 1},
		"no decision": {
			map[string]any{"records": []any{map[string]any{"input": h.Latest.Input}}}, `record 1 has no "decision"`, 1,
		},
	} {
		got := invoke(t, "", "explain", "--replay", record(t, c.value))
		if got.code != c.code || !strings.Contains(got.out+got.err, c.want) {
			t.Errorf("%s: want %q, got\n%v", name, c.want, got)
		}
	}
	if got := invoke(t, "", "explain", "--replay", "/nowhere"); got.code != 1 || !strings.Contains(got.err, "reading --replay: open /nowhere") {
		t.Errorf("%v", got)
	}
}

// TestReplayOfWhatIsPrinted: all that explain prints as JSON can be replayed.
func TestReplayOfWhatIsPrinted(t *testing.T) {
	for _, args := range [][]string{{"vision", "-o", "json"}, {"vision", "--history", "1h", "-o", "json"}} {
		api := newAPIServer(t)
		api.tells(t, pastOfVision(t))
		printed := invoke(t, "", append([]string{"explain", "--kubeconfig", api.kubeconfig}, args...)...)
		got := invoke(t, printed.out, "explain", "--replay", "-", "-o", "json")
		var r replayed
		if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != 0 || r.Decisions == 0 || r.Same != r.Decisions {
			t.Errorf("%q: %v, %v", args, err, got)
		}
	}
}

// FuzzReplay: whatever a file holds, it is refused in words or replayed.
func FuzzReplay(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"records":[{}]}`, `{"records":[{"input":{},"decision":{}}]}`, `{"latest":null,"records":[]}`, `{"decision":null,"input":{}}`,
		`{"spec":{"maxReplicas":3,"targets":[{"signal":"queue-depth","value":1}]},"seen":{"replicas":1,"pods":[{"name":"a","phase":"ready"}],"readings":[{"signal":"queue-depth","samples":[{"value":3,"ok":true}]}]}}`,
		`{"input":{"spec":{"maxReplicas":3,"minReplicas":1,"targets":[{"signal":"gpu-utilization"}],"maxSampleAge":-1},"time":"2026-01-01T00:00:00Z","seen":{"replicas":2}},"decision":{"desired":3}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, bare, err := parseRecording(text)
		if err != nil {
			return
		}
		if bare != nil {
			explain.Of(bare)
		} else {
			if r := replay(list); r.Same+len(r.Differences) != r.Decisions || r.Decisions+r.Skipped != len(list) {
				t.Errorf("%+v", r)
			}
		}
	})
}
