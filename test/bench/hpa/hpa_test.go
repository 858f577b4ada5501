package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bench/hpa/report"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
)

// The test's program plays the roles, as the benchmark's own does.
func TestMain(m *testing.M) {
	if code, played := playRole(); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// A short run of two arms: each scales every Deployment that steps, and only by what is its own.
func TestTwoArms(t *testing.T) {
	o := newOptions()
	o.rounds, o.steps, o.names, o.seed = 1, 6, []string{"hpa-tuned", "gpuscaler-1s"}, 1
	o.quiet, o.rest, o.window, o.tail, o.noise = 0, time.Second, time.Second, 0, 0
	o.outage, o.outages = time.Second, []string{empty}
	o.rights = "../../../deploy/rbac"
	var err error
	if o.program, err = gpuscaler.Build(t.Context(), "../../..", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	rs, err := o.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, arm := range o.names {
		if n, sum := count(rs, arm, report.Steps, report.Reaction, ""); n != o.steps || sum <= 0 {
			t.Errorf("%s: %d steps had a reaction, want %d", arm, n, o.steps)
		}
		if n, sum := count(rs, arm, report.Outage+empty, report.WrongMoves, ""); n != o.steps || sum != 0 {
			t.Errorf("%s: %v wrong moves of %d Deployments, want 0 of %d", arm, sum, n, o.steps)
		}
		if n, _ := count(rs, arm, report.Outage+empty, report.CatchUp, ""); n != o.steps/2 {
			t.Errorf("%s: %d Deployments were raised after the outage, want %d", arm, n, o.steps/2)
		}
		if _, memory := count(rs, arm, report.Rest, report.Resident, report.Scaler); memory <= 0 {
			t.Errorf("%s: the scaler takes no memory", arm)
		}
	}
	onlyItsOwn(t, rs, float64(o.steps))
}

// onlyItsOwn holds at rest what each arm asks for against what it must and must not.
func onlyItsOwn(t *testing.T, rs report.Records, deployments float64) {
	t.Helper()
	_, asked := count(rs, "hpa-tuned", report.Rest, report.Requests, "get ")
	if asked < deployments {
		t.Errorf("the HPA asked %v times at rest, want each Deployment once at least", asked)
	}
	if _, asked := count(rs, "gpuscaler-1s", report.Rest, report.Requests, "get "); asked != 0 {
		t.Errorf("gpuscaler asked %v times at rest, want 0", asked)
	}
	if _, leases := count(rs, "gpuscaler-1s", report.Rest, report.Requests, "update leases"); leases == 0 {
		t.Error("gpuscaler did not renew its lease: its requests are not counted")
	}
}

// count returns how many measurements there are, and their sum.
func count(rs report.Records, arm, phase, measure, subject string) (n int, sum float64) {
	for _, r := range rs {
		if r.Arm == arm && r.Phase == phase && r.Measure == measure && strings.HasPrefix(r.Subject, subject) {
			n, sum = n+1, sum+r.Value
		}
	}
	return n, sum
}

func TestOptionsAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"-rounds 0":              "-rounds is 0",
		"-steps 1":               "-steps is 1",
		"-steps 201":             "-steps is 201",
		"-arms hpa":              `-arms has "hpa", want some of gpuscaler-15s`,
		"-arms idle":             `-arms has "idle"`,
		"-arms ,":                "-arms is empty",
		"-outages fire":          `-outages has "fire", want some of refuses`,
		"-rest 0s":               "a duration",
		"-noise -1s":             "a duration",
		"-rounds 0 -outages bad": `-outages has "bad"`,
	} {
		o := newOptions()
		set := flag.NewFlagSet("hpa", flag.ContinueOnError)
		o.flags(set)
		if err := set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// The page tells what each arm and each outage is.
func TestThePageNamesAllArmsAndOutages(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range newOptions().arms() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("it has no word of the arm %s", name)
		}
	}
	for _, kind := range faults {
		if !strings.Contains(string(page), "*"+kind+"*") {
			t.Errorf("it has no word of the outage %s", kind)
		}
	}
}

// Faults of Prometheus take away the series of pods, whichever label names the pod, and leave answers of another kind alone.
func TestThinnedAnswers(t *testing.T) {
	const vector = `{"status":"success","data":{"resultType":"vector","result":[` +
		`{"metric":{"exported_pod":"a"},"value":[1,"50"]},{"metric":{"pod":"b"},"value":[1,"60"]},{"metric":{},"value":[1,"70"]}]}}`
	for _, c := range []struct {
		name, answer string
		fault        fault
		want         []string
	}{
		{"no pod lost", vector, fault{Kind: half}, []string{"50", "60", "70"}},
		{"one", vector, fault{Kind: half, Lost: []string{"a"}}, []string{"60", "70"}},
		{"the other", vector, fault{Kind: half, Lost: []string{"b"}}, []string{"50", "70"}},
		{"all", vector, fault{Kind: empty}, nil},
	} {
		api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) })
		recorder := httptest.NewRecorder()
		(&thinned{api, &c.fault}).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		for _, value := range []string{"50", "60", "70"} {
			if got, want := strings.Contains(recorder.Body.String(), value), slices.Contains(c.want, value); got != want {
				t.Errorf("%s: %s is shown: %t, want %t, in %s", c.name, value, got, want, recorder.Body)
			}
		}
		if !json.Valid(recorder.Body.Bytes()) {
			t.Errorf("%s: not JSON: %s", c.name, recorder.Body)
		}
	}
	const scalar = `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`
	if got, err := (&thinned{nil, &fault{Kind: empty}}).thin([]byte(scalar)); err == nil {
		t.Errorf("a scalar became %s", got)
	}
}

// The load is spread over the pods that are ready, and what changes is pushed at once.
func TestLoad(t *testing.T) {
	var pushed []string
	l := &load{app: "a", total: 100, push: func(app string, values map[string]int) { pushed = append(pushed, fmt.Sprint(app, values)) }}
	l.Advance(time.Time{}, []string{"x", "y"})
	l.Advance(time.Time{}, []string{"x", "y"})
	l.set(133)
	l.set(133.4)
	l.freeze(true)
	l.set(400)
	if got := l.Pod("x").GPU.Utilization; got != 66 {
		t.Errorf("a frozen pod reads %v, want 66", got)
	}
	l.freeze(false)
	l.Advance(time.Time{}, []string{"x", "y", "z", "u", "v"})
	want := []string{"amap[x:50 y:50]", "amap[x:66 y:66]", "amap[x:100 y:100]", "amap[u:80 v:80 x:80 y:80 z:80]"}
	if !slices.Equal(pushed, want) {
		t.Errorf("pushed %q, want %q", pushed, want)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("x"), 1<<20)
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
		_ = bytes.Count(block, []byte("y"))
	}
	after, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// On a busy machine it gets less of the CPU, but not nothing.
	if took := after.cpu - before.cpu; took < 0.02 || took > 2 {
		t.Errorf("300 ms of work took %.2f s of CPU", took)
	}
	if after.resident < 10<<20 || after.resident > 4<<30 {
		t.Errorf("this process has %.0f bytes of memory", after.resident)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that cannot be has used something")
	}
}
