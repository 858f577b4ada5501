package scenario

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

const trace = `TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
`

// opens knows two traces.
func opens(path string) (io.ReadCloser, error) {
	switch path {
	case "trace.csv":
		return io.NopCloser(strings.NewReader(trace)), nil
	case "bad.csv":
		return io.NopCloser(strings.NewReader("a,b\n")), nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

func read(text string) (simulate.Scenario, error) {
	return Read("file.yaml", strings.NewReader(text), opens, nil)
}

// full uses every key.
const full = `# What a scenario can say.
annotations: {gpuscaler.io/enabled: "true", gpuscaler.io/max-replicas: "10", gpuscaler.io/target.gpu-utilization: "75", gpuscaler.io/target.gateway-queue: "5"}
start: 2026-01-05T09:00:00+01:00
interval: 30s
duration: 30m
replicas: 2
startup: 90s
gpus: 8
signals:
  gpu-utilization: "50x10 90+0x20 _x4"
  queue-depth: ["4x30", "0x30"]
workload: {gateway-queue: "0x40 5x20"}
load:
  requests-per-second: "1+0.5x40 20x60"
  prompt-tokens: 512
  output-tokens: 128
server: {max-running: 32, tokens-per-second: 2000, prefill-tokens-per-second: 20000, kv-tokens: 200000}
seed: 7
events:
  - {at: 10m, replicas: 4}
  - {at: 12m, outage: prometheus, for: 3m}
  - {at: 13m, gpus: 0}
  - {at: 14m, conflict: hpa/llm, for: 1m}
  - {at: 15m, conflict: true, for: 1m}
  - {at: 16m, restart: true}
  - {at: 17m, reset: 1}
  - {at: 18m, crash-loop: true, for: 2m}
  - {at: 19m, rollout: true}
  - {at: 20m, reset: 2, manager: argocd-controller}
expect: {max-reversals: 3, min-slo-attainment: 0.99, max-gpu-hours: 12}
slo: {ttft: 2s}
`

func TestRead(t *testing.T) {
	s, err := read(full)
	if err != nil {
		t.Fatal(err)
	}
	series := func(text string) simulate.Series {
		v, err := simulate.ParseSeries(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	expect := func(name string, bound float64) simulate.Expectation {
		e, err := simulate.ParseExpectation(name, bound)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	gpus := 8
	want := simulate.Scenario{
		Spec:     s.Spec,
		Start:    time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC),
		Interval: 30 * time.Second, Duration: 30 * time.Minute, Startup: 90 * time.Second,
		Replicas: 2, GPUs: &gpus,
		Signals: []simulate.PodSignal{
			{Signal: policy.GPUUtilization, Series: []simulate.Series{series("50x10 90+0x20 _x4")}},
			{Signal: policy.QueueDepth, Series: []simulate.Series{series("4x30"), series("0x30")}},
		},
		Workload: []simulate.WorkloadSignal{{Signal: "gateway-queue", Series: series("0x40 5x20")}},
		Load: &simulate.Load{
			RequestsPerSecond: series("1+0.5x40 20x60"),
			Serving: serving.Config{
				Server:       serving.Server{MaxRunning: 32, TokensPerSecond: 2000, PrefillTokensPerSecond: 20000, KVTokens: 200000},
				PromptTokens: 512, OutputTokens: 128, Seed: 7,
			},
		},
		SLO: serving.SLO{TTFT: 2 * time.Second},
		Events: []simulate.Event{
			{At: 10 * time.Minute, Kind: simulate.SetReplicas, Number: 4},
			{At: 12 * time.Minute, For: 3 * time.Minute, Kind: simulate.Outage},
			{At: 13 * time.Minute, Kind: simulate.SetGPUs},
			{At: 14 * time.Minute, For: time.Minute, Kind: simulate.Conflicting, Name: "hpa/llm"},
			{At: 15 * time.Minute, For: time.Minute, Kind: simulate.Conflicting},
			{At: 16 * time.Minute, Kind: simulate.Restart},
			{At: 17 * time.Minute, Kind: simulate.ResetReplicas, Number: 1},
			{At: 18 * time.Minute, For: 2 * time.Minute, Kind: simulate.CrashLooping},
			{At: 19 * time.Minute, Kind: simulate.Rollout},
			{At: 20 * time.Minute, Kind: simulate.ResetReplicas, Number: 2, Manager: "argocd-controller"},
		},
		Expect: []simulate.Expectation{expect("max-reversals", 3), expect("min-slo-attainment", 0.99), expect("max-gpu-hours", 12)},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if s.Spec.MaxReplicas != 10 || len(s.Spec.Targets) != 2 || s.Spec.Interval != 30*time.Second || s.Spec.MaxSampleAge != 90*time.Second ||
		s.Spec.Queries["gateway-queue"] != "gateway-queue" {
		t.Errorf("the annotations became %+v", s.Spec)
	}
	if _, err := simulate.Run(s); err != nil {
		t.Error(err)
	}
}

// lines joins lines of a file.
func lines(text ...string) string { return strings.Join(text, "\n") + "\n" }

const (
	annotations = `annotations: {gpuscaler.io/max-replicas: "10", gpuscaler.io/target.gpu-utilization: "75"}`
	signals     = `signals: {gpu-utilization: "50"}`
	server      = `server: {max-running: 32, tokens-per-second: 2000, prefill-tokens-per-second: 20000, kv-tokens: 200000}`
)

func TestDefaults(t *testing.T) {
	s, err := read(lines(annotations, "duration: 1m", signals))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Start.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || s.Interval != 15*time.Second || s.Replicas != 1 || s.Startup != 0 || s.GPUs != nil || s.Load != nil {
		t.Errorf("defaults: %+v", s)
	}
	s, err = read(lines(`annotations: {gpuscaler.io/min-replicas: "3", gpuscaler.io/max-replicas: "10", gpuscaler.io/target.gpu-utilization: "75"}`, "duration: 1m", signals))
	if err != nil || s.Replicas != 3 {
		t.Errorf("replicas %d, want those of min-replicas, 3; error %v", s.Replicas, err)
	}
	s, err = read(lines(annotations, "replicas: 0", "duration: 0s", signals))
	if err != nil || s.Replicas != 0 {
		t.Errorf("replicas %d, want 0; error %v", s.Replicas, err)
	}
	if s, err = read(lines(annotations, "duration: 1m", "load: {trace: trace.csv, speed: 2}", server)); err != nil || len(s.Load.Serving.Trace) != 2 || s.Load.Serving.Speed != 2 {
		t.Errorf("trace: %+v, error %v", s.Load, err)
	}
}

// The administrator's classes are as good as the built-in ones.
func TestClasses(t *testing.T) {
	text := lines(`annotations: {gpuscaler.io/class: ours, gpuscaler.io/max-replicas: "9"}`, "duration: 1m", signals)
	s, err := Read("file.yaml", strings.NewReader(text), opens, map[string]map[string]string{"ours": {"target.gpu-utilization": "33"}})
	if err != nil || len(s.Spec.Targets) != 1 || s.Spec.Targets[0].Value != 33 {
		t.Errorf("targets %v, error %v", s.Spec.Targets, err)
	}
}

func TestAnchors(t *testing.T) {
	s, err := read(lines(annotations, "duration: 1m", `signals: {gpu-utilization: [&high "90", *high, "10"]}`, "events: [&e {at: 5s, restart: true}, *e]"))
	if err != nil || len(s.Signals[0].Series) != 3 || len(s.Events) != 2 || s.Events[0] != s.Events[1] {
		t.Errorf("got %+v, error %v", s, err)
	}
}

// What is merged with << is as if it were written there; keys of the mapping itself win, and of several merged the first.
func TestMerge(t *testing.T) {
	s, err := read(lines(
		"annotations:", "  gpuscaler.io/max-replicas: '7'", "  <<: [{gpuscaler.io/max-replicas: '9', gpuscaler.io/min-replicas: '2'}, {gpuscaler.io/min-replicas: '3', gpuscaler.io/target.gpu-utilization: '75'}]",
		"duration: 1m", "<<: {signals: {gpu-utilization: '50'}, duration: 2m}",
		"events: [&e {at: 5s, replicas: 2}, {<<: *e, at: 6s}]",
	))
	if err != nil {
		t.Fatal(err)
	}
	if s.Spec.MaxReplicas != 7 || s.Spec.MinReplicas != 2 || s.Spec.Targets[0].Value != 75 || s.Duration != time.Minute || len(s.Signals) != 1 || s.Events[1].At != 6*time.Second || s.Events[1].Number != 2 {
		t.Errorf("got %+v", s)
	}
	_, err = read(lines(annotations, "duration: 1m", signals, "events: [{at: 5s, replicas: 2, <<: 3}]", "<<: [{}, 4]", "slo: {<<: {ttft: 1s, ttft: 2s}}"))
	for _, want := range []string{`file.yaml:4: events[1].<<: "3" is not allowed: give a mapping`, `file.yaml:5: <<: "4" is not allowed`, "file.yaml:6: slo.ttft is given twice"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Empty documents are none.
func TestEmptyDocuments(t *testing.T) {
	if _, err := read(lines("# first", "---", "# a comment", "---", annotations, "duration: 1m", signals, "---", "# last")); err != nil {
		t.Error(err)
	}
	if _, err := read("---\n---\n"); err == nil || !strings.Contains(err.Error(), "file.yaml:1: the scenario is empty") {
		t.Errorf("got %v", err)
	}
}

// A signal may have the name that a metric would have.
func TestSignalWithUnderscore(t *testing.T) {
	s, err := read(lines(`annotations: {gpuscaler.io/max-replicas: "9", gpuscaler.io/target.gateway_queue: "5"}`, "duration: 1m", "workload: {gateway_queue: 5}"))
	if err != nil || len(s.Workload) != 1 || s.Spec.Targets[0].Signal != "gateway_queue" {
		t.Errorf("got %+v, error %v", s, err)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{"file.yaml:1: the scenario is empty"}},
		{"# nothing\n", []string{"file.yaml:1: the scenario is empty"}},
		{"[1, 2]\n", []string{"file.yaml:1: the scenario: a list is not allowed: give keys and values"}},
		{"a: [\n", []string{"not YAML"}},
		{"a: b\n\t- c\n", []string{"file.yaml:2: not YAML"}},
		{lines(annotations, "duration: 1m", signals, "---", "x: 1"), []string{"file.yaml:4: a second document is not allowed"}},
		{"{}\n", []string{"file.yaml:1: annotations is required", "file.yaml:1: duration is required"}},
		{
			lines(annotations, "duration: 1x", "replicas: -1", "interval: 0s", "startup: []", "gpus: 1.5", "seed: x", "start: monday", signals),
			[]string{
				`file.yaml:2: duration: "1x" is not allowed: give a duration from 0s`, `file.yaml:3: replicas: "-1" is not allowed: give a whole number from 0 to 10000`,
				`file.yaml:4: interval: "0s" is not allowed`, `file.yaml:5: startup: a list is not allowed`, `file.yaml:6: gpus: "1.5" is not allowed`,
				`file.yaml:7: seed: "x" is not allowed`, `file.yaml:8: start: "monday" is not allowed: give a time such as 2026-01-05T08:00:00Z`,
			},
		},
		{
			lines(annotations, "duration: 1m", "duration: 2m", "replica: 3", signals),
			[]string{"file.yaml:3: duration is given twice: first in line 2", "file.yaml:4: replica is not a known key: allowed are annotations, start"},
		},
		{
			lines("annotations:", "  gpuscaler.io/enabled: yes", `  gpuscaler.io/max-replicas: "0"`, `  gpuscaler.io/target.gpu-utilisation: "75"`, "duration: 1m", signals),
			[]string{`file.yaml:2: gpuscaler.io/enabled: "yes" is not allowed`, `file.yaml:3: gpuscaler.io/max-replicas: "0"`, `file.yaml:4: gpuscaler.io/target.gpu-utilisation: "75" is for the unknown signal`},
		},
		{lines(`annotations: {gpuscaler.io/target.gpu-utilization: "75"}`, "duration: 1m", signals), []string{"file.yaml:1: gpuscaler.io/max-replicas: is required"}},
		{
			lines(annotations, "duration: 1m", "signals:", `  gpu-utilization: "50x"`, "  queue-depth: []", "  kv-cache: {}", "  Foo: '1'", "workload: {a: '1 b'}"),
			[]string{
				`file.yaml:4: signals.gpu-utilization: item 1, "50x", is repeated "" times`, "file.yaml:5: signals.queue-depth: 0 series are not allowed",
				"file.yaml:6: signals.kv-cache: a mapping is not allowed: give a series", `file.yaml:7: the signal "Foo" is not allowed`, `file.yaml:8: workload.a: item 2, "b", is not allowed`,
			},
		},
		{
			lines(annotations, "duration: 1m", signals, "load: {requests-per-second: '1', trace: x, speed: 2, prompt-token: 3}"),
			[]string{"file.yaml:4: load.prompt-token is not a known key", "file.yaml:4: load.trace is not allowed together with load.requests-per-second", "load needs load.prompt-tokens", "load needs server.kv-tokens"},
		},
		{lines(annotations, "duration: 1m", "load: {}"), []string{"load needs requests-per-second, or trace"}},
		{lines(annotations, "duration: 1m", "load: {requests-per-second: 1, prompt-tokens: 1, output-tokens: 1, speed: 2}", server), []string{"load.speed is not allowed without load.trace"}},
		{lines(annotations, "duration: 1m", "load: {trace: none.csv}", server), []string{"file.yaml:3: load.trace: opening the trace: open none.csv: file does not exist"}},
		{lines(annotations, "duration: 1m", "load: {trace: bad.csv, speed: 0}", server), []string{"load.speed: 0 is not allowed: give a number above 0"}},
		{lines(annotations, "duration: 1m", "load: {trace: bad.csv}", server), []string{"file.yaml:3: load.trace: bad.csv: reading trace: line 1"}},
		{lines(annotations, "duration: 1m", "load: {trace: trace.csv, output-tokens: 3}", server), []string{"load.output-tokens is not allowed together with load.trace"}},
		{
			lines(annotations, "duration: 1m", "load: {requests-per-second: '1 -2', prompt-tokens: 100, output-tokens: 100}", "server:", "  max-running: 1", "  tokens-per-second: .nan", "  prefill-tokens-per-second: 1e3", "  kv-tokens: 100"),
			[]string{`file.yaml:6: server.tokens-per-second: ".nan" is not allowed: give a number`},
		},
		{
			lines(annotations, "duration: 1m", "load: {requests-per-second: '1 -2', prompt-tokens: 100, output-tokens: 100}", "server:", "  max-running: 1", "  tokens-per-second: 1e99", "  prefill-tokens-per-second: 1e3", "  kv-tokens: 100"),
			[]string{"file.yaml:6: server.tokens-per-second: 1e+99 is not allowed", "file.yaml:3: load: 100 prompt + 100 output tokens are not allowed", "file.yaml:3: load.requests-per-second: has -2 at 15s"},
		},
		{
			lines(annotations, "duration: 1m", signals, "events:", "  - {at: 10m, replicas: 4}", "  - {at: 1s, replicas: 4, gpus: 1}", "  - {at: -1s, outage: network}", "  - {restart: true}", "  - {at: 1s}", "  - {at: 1s, explode: true}", "  - 3"),
			[]string{
				"file.yaml:6: events[2] has replicas and gpus: give one of them", `file.yaml:7: events[3].at: "-1s" is not allowed`, `file.yaml:7: events[3].outage: "network" is not allowed: give prometheus`,
				"file.yaml:8: events[4] needs at", "file.yaml:9: events[5] says nothing that happens: give one of replicas, reset", "file.yaml:10: events[6].explode is not a known key", "file.yaml:11: events[7]",
			},
		},
		{
			lines(annotations, "duration: 1m", signals, "events:", "  - {at: 10m, replicas: 4}", "  - {at: 1s, for: 5s, restart: true}"),
			[]string{"file.yaml:5: events[1].at: 10m0s is not allowed: give a time from 0s to the duration, 1m0s", "file.yaml:6: events[2].for: 5s is not allowed: restart is over at once"},
		},
		{lines(annotations, "duration: 1m", signals, "events: [{at: 0s, restart: false}, {at: 0s, conflict: false}, {at: 0s, replicas: x}]"), []string{`events[1].restart: "false" is not allowed: give true`, `events[2].conflict: "false"`, `events[3].replicas: "x"`}},
		{lines(annotations, "duration: 1m", signals, "events: [{at: 0s, reset: 2, manager: false}, {at: 0s, reset: 2, manager: {}}]"), []string{`events[1].manager: "false" is not allowed: give the name`, `events[2].manager: a mapping is not allowed`}},
		{lines(annotations, "duration: 1m", signals, "events:", "  - {at: 0s, replicas: 2, manager: flux}"), []string{"file.yaml:5: events[1].manager: flux is not allowed: only a reset has one"}},
		{lines(annotations, "duration: 1m", signals, "events: 3"), []string{`file.yaml:4: events: "3" is not allowed: give a list`}},
		{lines(annotations, "duration: 1m", signals, "expect: {max-fun: 1, max-reversals: many}"), []string{`file.yaml:4: expect: "max-fun" is not allowed: give min- or max- and one of`, `file.yaml:4: expect.max-reversals: "many" is not allowed: give a number`}},
		{lines(annotations, "duration: 1m", signals, "expect: {min-completed: 1}"), []string{"file.yaml:4: expect.min-completed: there are no requests without load"}},
		{lines(annotations, "duration: 1m", signals, "slo: {ttft: 0s, itl: 1s}"), []string{`slo.ttft: "0s" is not allowed`, "slo.itl is not a known key: allowed are ttft"}},
		{lines(annotations, "duration: 5000h", signals), []string{"file.yaml:2: duration: 5000h0m0s in ticks of 15s are 1200001 ticks: at most 200000 are allowed"}},
		{lines(annotations, "duration: 1m", signals, "workload: {gpu-utilization: '1'}"), []string{"file.yaml:4: workload.gpu-utilization: is read from each pod"}},
	} {
		_, err := read(c.text)
		if err == nil {
			t.Errorf("accepted:\n%s", c.text)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("for\n%sgot\n%v\nwant a line with\n%s", c.text, err, want)
			}
		}
	}
}

// Reading fails, and too much is not read.
func TestUnreadable(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Read("file.yaml", io.MultiReader(strings.NewReader("a: 1\n"), failing{broken}), opens, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := read(strings.Repeat("# much\n", maxSize/7+1)); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzScenario reads any bytes, and runs what is a small scenario: nothing panics, no error is without its file, and who runs it again gets
// the same.
func FuzzScenario(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(lines(annotations, "duration: 1m", signals)))
	f.Add([]byte(lines(annotations, "duration: 1m", "load: {trace: trace.csv, speed: 2}", server)))
	f.Add([]byte(lines(annotations, "duration: 1m", `signals: {gpu-utilization: [&a "90x1000000000", *a]}`, "events: [&e {at: 5s, rollout: true}, *e]")))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("<<: &a {<<: *a}\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := read(string(content))
		if err != nil {
			if !strings.Contains(err.Error(), "file.yaml") {
				t.Fatalf("an error does not name the file: %v", err)
			}
			return
		}
		most := max(s.Spec.MaxReplicas, s.Replicas)
		for _, e := range s.Events {
			if e.Kind == simulate.SetReplicas || e.Kind == simulate.ResetReplicas {
				most = max(most, e.Number)
			}
		}
		if int(s.Duration/s.Interval)*most > 100_000 || s.Load != nil && s.Duration > time.Minute {
			return // it would be right, and take long
		}
		result, err := simulate.Run(s)
		if err != nil {
			if most <= simulate.MaxReplicas {
				t.Fatalf("a valid scenario does not run: %v\n%s", err, content)
			}
			return
		}
		once, errOnce := json.Marshal(result)
		if same, err := read(string(content)); err == nil {
			result, err = simulate.Run(same)
			twice, errTwice := json.Marshal(result)
			if err != nil || string(once) != string(twice) || (errOnce == nil) != (errTwice == nil) {
				t.Fatalf("it ran as\n%s\nand then as\n%s (%v)", once, twice, err)
			}
		}
	})
}
