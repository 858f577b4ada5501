package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
)

// samples writes a file with exported samples: two hours of an LLM whose queue and batch rise and fall, on pods that come and go with the
// recorded replicas.
func samples(t *testing.T) string {
	t.Helper()
	r := backtest.Recording{
		Format: backtest.Version, Namespace: "prod", Name: "llm", Start: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), StepSeconds: 15, Steps: 480, GPUs: 2,
		Annotations: map[string]string{
			policy.Prefix + "max-replicas": "8", policy.Prefix + "target.gpu-utilization": "60", policy.Prefix + "scale-down.stabilization": "5m",
		},
		Sources: []string{"replicas: made up for a test"},
	}
	util := backtest.Signal{Signal: policy.GPUUtilization}
	for i := range r.Steps {
		demand, pods := 90.0, 2
		switch {
		case i >= 300:
			demand, pods = 50, 2
		case i >= 112:
			demand, pods = 390, 4
		case i >= 100:
			demand = 390
		}
		replicas := pods
		if i >= 101 && i < 300 {
			replicas = 4
		}
		r.Replicas = append(r.Replicas, replicas)
		for k := range pods {
			util.Add("llm-5d4f7b-"+string(rune('a'+k)), i, backtest.Value(min(demand/float64(pods), 100)))
		}
	}
	r.Signals = []backtest.Signal{util}
	r.Gather(nil)
	text, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "samples.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBacktestOfAFile(t *testing.T) {
	file := samples(t)
	got := invoke(t, "", "backtest", "--from", file, "--against", "current,hpa,keda", "--set", "target.gpu-utilization=40",
		"--set", "target.gpu-utilization=90; scale-down.stabilization=1m", "--gpus", "6")
	if got.code != exitOK {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	golden(t, "backtest.golden", got.out)
	asJSON := invoke(t, "", "backtest", "--from", file, "--startup", "2m", "-o", "json")
	var read backtested
	if err := json.Unmarshal([]byte(asJSON.out), &read); err != nil {
		t.Fatalf("%v in %s", err, asJSON)
	}
	if len(read.Policies) != 1 || len(read.Policies[0].Changes) == 0 || read.Startup != "2m0s" || read.StartupFrom != "--startup" {
		t.Errorf("%+v", read)
	}
}

// What is exported again is what was read.
func TestBacktestExports(t *testing.T) {
	file := samples(t)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, string(want), "backtest", "--from", "-", "--export", "-"); got.code != exitOK || strings.TrimSpace(got.out) != string(want) {
		t.Errorf("%s\nwant the file itself", got)
	}
}

func TestBacktestExpects(t *testing.T) {
	file := samples(t)
	if got := invoke(t, "", "backtest", "--from", file, "--expect", "max-reversals=1", "--expect", "max-gpu-hours=100"); got.code != exitOK {
		t.Errorf("%s", got)
	}
	got := invoke(t, "", "backtest", "--from", file, "--expect", "max-gpu-hours=1", "--set", "target.gpu-utilization=40")
	if got.code != exitError || strings.Count(got.err, "expectation not held by the policy") != 2 {
		t.Errorf("%s", got)
	}
}

// Each error says what is wrong, what is allowed and what to try.
func TestBacktestErrors(t *testing.T) {
	file := samples(t)
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"format":"gpuscaler.io/recording/v1","steps":3,"replicas":[1]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		code int
		want string
		args []string
	}{
		"nothing":        {exitUsage, "give deployment/NAME, or --from FILE", nil},
		"both":           {exitUsage, "exclude each other: the file says", []string{"deployment/llm", "--from", file}},
		"since":          {exitUsage, `"tomorrow" is not allowed: give a duration such as 7d`, []string{"deployment/llm", "--since", "tomorrow"}},
		"since of file":  {exitUsage, "--from " + file + " and --since exclude each other", []string{"--from", file, "--since", "1d"}},
		"rival":          {exitUsage, `--against "vpa" is not allowed: give current, hpa, keda`, []string{"--from", file, "--against", "vpa"}},
		"expectation":    {exitUsage, "give a name and a number, such as max-reversals=3", []string{"--from", file, "--expect", "few"}},
		"expected score": {exitUsage, `"max-fun" is not allowed`, []string{"--from", file, "--expect", "max-fun=3"}},
		"gpus":           {exitUsage, "--gpus 0 is not allowed: give a whole number from 1", []string{"--from", file, "--gpus", "0"}},
		"set":            {exitUsage, `--set "faster" is not allowed: give key=value`, []string{"--from", file, "--set", "faster"}},
		"set key":        {exitError, `--set "speed=1"`, []string{"--from", file, "--set", "speed=1"}},
		"interval":       {exitUsage, "--interval 1.5s is not allowed: give whole seconds", []string{"deployment/llm", "--interval", "1.5s"}},
		"no file":        {exitError, "reading --from: open", []string{"--from", "/nowhere/x.json"}},
		"broken file":    {exitError, "replicas: 1 numbers are not allowed: give one for each of the 3 steps", []string{"--from", broken}},
	} {
		t.Run(name, func(t *testing.T) {
			got := invoke(t, "", append([]string{"backtest"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.err, test.want) || got.out != "" {
				t.Errorf("%s\nwant exit code %d and %q", got, test.code, test.want)
			}
		})
	}
}

func TestAssignments(t *testing.T) {
	for set, want := range map[string]string{
		"a=1":         "a=1",
		"a=1; b=2;c=": "a=1| b=2|c=",
		"a=1;":        "a=1",
		"min-replicas=1;schedule=Mon-Fri 08:00-20:00 UTC min=4; Sat,Sun 00:00-06:00 UTC max=2": "min-replicas=1|schedule=Mon-Fri 08:00-20:00 UTC min=4; Sat,Sun 00:00-06:00 UTC max=2",
	} {
		if got := strings.Join(assignments(set), "|"); got != want {
			t.Errorf("%q is cut into %q, want %q", set, got, want)
		}
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	b := newProgressBar(&out, true, "reading", 4)
	b.step()
	if want := "\r\x1b[Kreading [#######-----------------------] 25 %"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q, want it to end in %q", out.String(), want)
	}
	out.Reset()
	newProgressBar(&out, false, "reading", 4).step()
	if out.Len() > 0 {
		t.Errorf("%q where nobody watches", out.String())
	}
}

// A file with samples is read or refused, and what is read can be replayed.
func FuzzReadRecording(f *testing.F) {
	f.Add([]byte(`{"format":"gpuscaler.io/recording/v1","namespace":"a","name":"b","annotations":{},"start":"2026-01-05T08:00:00Z","stepSeconds":15,"steps":2,"gpus":1,` +
		`"replicas":[1,2],"pods":[{"name":"p","from":0,"until":2}],"signals":[{"signal":"queue-depth","pods":{"p":{"from":0,"values":[1,null]}}},{"signal":"gw","workload":{"from":1,"values":["idle"]}}]}`))
	f.Add([]byte(`{"format":"gpuscaler.io/recording/v1","steps":-1}`))
	spec, problems := policy.Parse(map[string]string{
		policy.Prefix + "enabled": "true", policy.Prefix + "max-replicas": "5", policy.Prefix + "target.queue-depth": "2",
	}, policy.Settings{})
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := readSamples(bytes.NewReader(text))
		if err != nil || r.Steps > 1000 || len(r.Pods) > 50 {
			return
		}
		if _, err := backtest.WhatIf(r, spec, nil, backtest.Model{}); err != nil {
			t.Errorf("%v of %s", err, text)
		}
		backtest.Current(r, spec)
		backtest.BlindSpots(r, spec.Signals())
	})
}
