package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// scenarios is where the golden scenarios are: each NAME.yaml has the table that it gives beside it, as NAME.txt.
const scenarios = "../../test/scenarios"

// simulated runs the command as a program would be run, and returns its exit code too.
func simulated(t *testing.T, stdin string, format outputFormat, args ...string) call {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := newSimulateCommand(&globals{output: format})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	code := report(&errOut, cmd, cmd.Execute(), false)
	return call{code, out.String(), errOut.String()}
}

// TestScenarios compares the tables with the golden ones, and wants of each scenario that it says what it shows and that its
// expectations hold.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarios, "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("scenarios %v, error %v", files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if about, _, _ := strings.Cut(string(text), "\nannotations:"); !strings.HasPrefix(about, "# ") || len(about) < 80 {
				t.Error("it does not open with a paragraph on what it shows")
			}
			got := simulated(t, "", tableOutput, path)
			if got.code != exitOK || got.err != "" {
				t.Errorf("exit code %d: %s", got.code, got.err)
			}
			compareGolden(t, strings.TrimSuffix(path, ".yaml")+".txt", got.out)
		})
	}
}

// compareGolden compares a text with a file, or writes it with -update.
func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; go test ./cmd/gpuscaler -update writes it anew; got:\n%s\nwant:\n%s", path, got, want)
	}
}

// annotated is a small scenario to which tests add lines.
const annotated = `annotations: {gpuscaler.io/enabled: "true", gpuscaler.io/max-replicas: "10", gpuscaler.io/target.running-requests: "10"}
duration: 30s
signals: {running-requests: "30 15 10"}
`

func TestSimulateOutput(t *testing.T) {
	asJSON := simulated(t, annotated, jsonOutput, "-")
	var result simulate.Result
	if err := json.Unmarshal([]byte(asJSON.out), &result); err != nil || asJSON.code != exitOK {
		t.Fatalf("%v in %v", err, asJSON)
	}
	if len(result.Ticks) != 3 || result.Ticks[0].Desired != 3 || result.Score.ScaleUps != 2 || !strings.Contains(asJSON.out, `"time": "2026-01-01T00:00:15Z"`) {
		t.Errorf("JSON: %v", asJSON)
	}
	asYAML := simulated(t, annotated, yamlOutput, "-")
	converted, err := yaml.YAMLToJSON([]byte(asYAML.out))
	if err != nil {
		t.Fatal(err)
	}
	var again simulate.Result
	if err := json.Unmarshal(converted, &again); err != nil || again.Ticks[2].Message != result.Ticks[2].Message {
		t.Errorf("YAML: %v, error %v", asYAML, err)
	}
	if second := simulated(t, annotated, jsonOutput, "-"); second != asJSON {
		t.Error("a second run prints something else")
	}
}

// What is printed does not depend on whether the expectations hold; the exit code does.
func TestSimulateExpectations(t *testing.T) {
	held := simulated(t, annotated+"expect: {max-scale-ups: 2, max-reversals: 0}\n", tableOutput, "-")
	broken := simulated(t, annotated+"expect: {max-scale-ups: 1, max-minutes-over-target: 0.1, max-reversals: 0}\n", tableOutput, "-")
	if held.code != exitOK || held.err != "" {
		t.Errorf("held: %v", held)
	}
	if broken.code != exitError || broken.out != held.out {
		t.Errorf("not held: exit code %d, output %s", broken.code, broken.out)
	}
	want := "error: expectation not held: max-scale-ups: scale-ups is 2, which is above 1\nexpectation not held: max-minutes-over-target: minutes-over-target is 0.5, which is above 0.1\n"
	if broken.err != want {
		t.Errorf("stderr %q, want %q", broken.err, want)
	}
}

// A Deployment that has not opted in is left alone. That is no error.
func TestSimulateDisabled(t *testing.T) {
	got := simulated(t, strings.Replace(annotated, `"true"`, `"false"`, 1), jsonOutput, "-")
	var result simulate.Result
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || got.code != exitOK {
		t.Fatalf("%v in %v", err, got)
	}
	if last := result.Ticks[len(result.Ticks)-1]; last.Replicas != 1 || result.Score.ScaleUps != 0 || !strings.Contains(got.err, `note: gpuscaler.io/enabled is "false"`) {
		t.Errorf("got %v", got)
	}
}

func TestSimulateRefuses(t *testing.T) {
	for _, c := range []struct {
		name, stdin, path string
		want              []string
	}{
		{"invalid annotations", strings.Replace(strings.Replace(annotated, `"10"`, `"ten"`, 1), "enabled", "enabld", 1), "-", []string{
			`error: standard input:1: gpuscaler.io/enabld: "true" is not a known key`, `standard input:1: gpuscaler.io/max-replicas: "ten" is not allowed`,
		}},
		{"an unknown key", annotated + "signal: {}\n", "-", []string{"error: standard input:4: signal is not a known key: allowed are"}},
		{"no file", "", "no/such/file.yaml", []string{"error: reading the scenario: open no/such/file.yaml"}},
		{"too many replicas", strings.NewReplacer(`"10", gpu`, `"2000000", gpu`, `"30 15 10"`, `"300000"`).Replace(annotated) + "duration: 10m", "-", []string{"duration is given twice"}},
		{
			"too many replicas for a simulation", strings.NewReplacer(`max-replicas: "10"`, `max-replicas: "2000000", gpuscaler.io/scale-up.policies: "900000 pods/15s"`, `"30 15 10"`, `"300000"`).Replace(annotated),
			"-",
			[]string{"error: simulating -: at 0s: 30000 replicas are wanted", "at most 10000 can be simulated"},
		},
	} {
		got := simulated(t, c.stdin, jsonOutput, c.path)
		if got.code != exitError || got.out != "" {
			t.Errorf("%s: exit code %d, stdout %q: want 1 and nothing", c.name, got.code, got.out)
		}
		for _, want := range c.want {
			if !strings.Contains(got.err, want) {
				t.Errorf("%s: stderr %q, want %q", c.name, got.err, want)
			}
		}
	}
	if got := simulated(t, annotated, tableOutput, "-", "-"); got.code != exitError && got.code != exitUsage {
		t.Errorf("two files: %v", got)
	}
}

// A trace lies beside the scenario, wherever the program was called.
func TestSimulateTrace(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("trace.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,48,10\n2023-11-16 18:17:04,31,8\n")
	path := write("scenario.yaml", annotated+"load: {trace: trace.csv}\nserver: {max-running: 4, tokens-per-second: 200, prefill-tokens-per-second: 2000, kv-tokens: 2000}\n")
	got := simulated(t, "", tableOutput, path)
	if got.code != exitOK || !strings.Contains(got.out, "requests     2, 2 completed") {
		t.Errorf("%v", got)
	}
	classes := write("classes.yaml", "classes: {ours: {target.running-requests: 15}}\n")
	path = write("class.yaml", strings.Replace(annotated, `gpuscaler.io/target.running-requests: "10"`, "gpuscaler.io/class: ours", 1))
	if got := simulated(t, "", tableOutput, path, "--classes", classes); got.code != exitOK || !strings.Contains(got.out, "for a target of 15") {
		t.Errorf("%v", got)
	}
}

// Lines fit a terminal.
func TestSimulationWidth(t *testing.T) {
	s, err := readScenario(strings.NewReader(annotated), "-", nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s.Duration = 48 * time.Hour
	result, err := simulate.Run(s)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printSimulation(&out, &result, 80); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(out.String(), "01-01 00:00:15  ") || !strings.Contains(out.String(), "ticks unchanged") || strings.Count(out.String(), "\n") > 20 {
		t.Errorf("two days:\n%s", out.String())
	}
}
