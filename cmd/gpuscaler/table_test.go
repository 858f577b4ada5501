package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// snapshot is the outcome of a tick over workloads that were decided like this.
func snapshot(at time.Time, workloads ...controller.Workload) *controller.Snapshot {
	return &controller.Snapshot{Time: at, Workloads: workloads}
}

// workload is one with a decision over two signals.
func workload(name string, current, desired int, value float64) controller.Workload {
	stage := policy.Stage{Replicas: desired, Reason: policy.ReadyForNewScale}
	return controller.Workload{Namespace: "team", Name: name, Decision: &policy.Decision{
		Current: current, Desired: desired, Reason: policy.ReadyForNewScale,
		Recommended: stage, Guarded: stage, Stabilized: stage, Limited: stage, Bounded: stage,
		Signals: []policy.SignalDecision{
			{Signal: policy.KVCache, Target: 80, Recommended: current, Reason: policy.NoData},
			{Signal: policy.QueueDepth, Value: value, Target: 4, Recommended: desired, Sampled: current},
		},
	}}
}

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func TestTable(t *testing.T) {
	rows := rowsOf(snapshot(noon, workload("llm", 2, 3, 5.25), workload("größer", 10, 10, 1234.5), workload("down", 3, 1, 0.001)))
	wide := strings.Join(tableOf(rows, 0, unpainted), "\n")
	narrow := strings.Join(tableOf(rows, 80, painted), "\n")
	golden(t, "table.golden", wide+"\n\n"+narrow+"\n")
	for _, line := range tableOf(rows, 40, unpainted) {
		if n := utf8.RuneCountInString(line); n > 40 {
			t.Errorf("%q has %d characters, want at most 40", line, n)
		}
	}
}

// TestChanges wants a block only when a number or a reason changes, and none for readings.
func TestChanges(t *testing.T) {
	var out bytes.Buffer
	f := newFollower(&out, tableOutput, "nobody asks to be scaled")
	for i, s := range []*controller.Snapshot{
		snapshot(noon),
		snapshot(noon.Add(5*time.Second), workload("llm", 2, 2, 4), workload("vision", 1, 1, 4)),
		snapshot(noon.Add(10*time.Second), workload("llm", 2, 2, 3.9), workload("vision", 1, 1, 4.1)), // nothing
		snapshot(noon.Add(15*time.Second), workload("llm", 2, 3, 6), workload("vision", 1, 1, 4)),
		snapshot(noon.Add(20*time.Second), workload("llm", 2, 3, 6)),
		snapshot(noon.Add(25 * time.Second)),
		snapshot(noon.Add(30 * time.Second)), // nothing
	} {
		if err := f.show(s); err != nil {
			t.Fatalf("snapshot %d: %v", i, err)
		}
	}
	golden(t, "changes.golden", out.String())
}

// TestValues wants one JSON value a line and one YAML document each.
func TestValues(t *testing.T) {
	for format, want := range map[outputFormat]string{jsonOutput: "{\"workloads\":[{", yamlOutput: "---\nworkloads:\n- current: 2\n"} {
		var out bytes.Buffer
		f := newFollower(&out, format, "")
		for _, desired := range []int{2, 3} {
			if err := f.show(snapshot(noon, workload("llm", 2, desired, 4))); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Count(out.String(), want) != 2 {
			t.Errorf("%s: want %q twice in\n%s", format, want, out.String())
		}
	}
}

// terminal understands as much of a terminal as the screen uses: it shows what a person would see.
type terminal struct {
	lines []string
}

func (v *terminal) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b[J"):
			n = 3 // clears from here, which is the beginning of a line
		case strings.HasPrefix(text, "\x1b["):
			n = strings.IndexByte(text, 'A') + 1
			up := 0
			for _, digit := range text[2 : n-1] {
				up = up*10 + int(digit-'0')
			}
			v.lines = v.lines[:len(v.lines)-up]
		default:
			n = strings.IndexByte(text, '\n') + 1
			v.lines = append(v.lines, text[:n-1])
		}
		text = text[n:]
	}
	return len(p), nil
}

// TestScreen wants the last block below all log lines, and never more lines than the terminal has.
func TestScreen(t *testing.T) {
	v := &terminal{}
	s := &screen{out: v, size: func() (int, int) { return 80, 5 }}
	steps := []func(){
		func() { _, _ = s.Write([]byte("log 1\n")) },
		func() { s.show([]string{"a", "b"}) },
		func() { _, _ = s.Write([]byte("log 2\n")) },
		func() { s.show([]string{"c"}) },
		func() { s.show([]string{"1", "2", "3", "4", "5", "6"}) },
		func() { _, _ = s.Write([]byte("log 3\n")) },
	}
	for i, want := range []string{
		"log 1", "log 1|a|b", "log 1|log 2|a|b", "log 1|log 2|c", "log 1|log 2|1|2|3|… and 3 more", "log 1|log 2|log 3|1|2|3|… and 3 more",
	} {
		steps[i]()
		if got := strings.Join(v.lines, "|"); got != want {
			t.Errorf("step %d: the screen shows %q, want %q", i, got, want)
		}
	}
}

// TestProgress wants silence for a second, then a line that is gone in the end.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		takes    time.Duration
		want     string
	}{
		{true, 900 * time.Millisecond, ""},
		{true, 2500 * time.Millisecond, "\r\x1b[Kwaiting… 1s\r\x1b[Kwaiting… 2s\r\x1b[K"},
		{false, time.Minute, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			stop := progress(&out, c.terminal, "waiting")
			time.Sleep(c.takes)
			stop()
			if out.String() != c.want {
				t.Errorf("after %v on a terminal (%t): got %q, want %q", c.takes, c.terminal, out.String(), c.want)
			}
		})
	}
}

// TestOrigin: the table tells when a signal was read past Prometheus.
func TestOrigin(t *testing.T) {
	w := workload("llm", 2, 3, 5)
	for source, want := range map[string]string{
		"": "queue-depth 5/4, kv-cache ?/80", "vllm:num_requests_waiting": "queue-depth 5/4, kv-cache ?/80", "query mine": "queue-depth 5/4, kv-cache ?/80",
		"vllm:num_requests_waiting (pods)":                          "queue-depth 5/4 (pods), kv-cache ?/80",
		"vllm:num_requests_waiting (pods, 16 of 40 pods in a tick)": "queue-depth 5/4 (pods, 16 of 40 pods in a tick), kv-cache ?/80",
		"gpuscaler_nvml_gpu_utilization_ratio (NVML agents)":        "queue-depth 5/4 (NVML agents), kv-cache ?/80",
	} {
		w.Decision.Signals[1].Source = source
		if got := signalsOf(w.Decision); got != want {
			t.Errorf("%q: got %q, want %q", source, got, want)
		}
	}
}
