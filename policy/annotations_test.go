package policy

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
)

// parseOne parses valid annotations with one key changed; an empty value removes it.
func parseOne(key, value string) (Spec, Problems) {
	annotations := map[string]string{
		Prefix + "enabled": "true", Prefix + "max-replicas": "10", Prefix + "target.gpu-utilization": "75",
		"kubectl.kubernetes.io/restartedAt": "now", "example.com/gpuscaler.io": "x",
	}
	annotations[Prefix+key] = value
	return Parse(annotations, Settings{MaxSampleAge: 90 * time.Second, Interval: 5 * time.Second})
}

func TestValidValues(t *testing.T) {
	tests := map[string][]string{
		"enabled":                  {"true", "false"},
		"class":                    {"gpu", "vllm", "sglang", "tgi", "triton", "ollama"},
		"min-replicas":             {"1", "10"},
		"max-replicas":             {"1", "2147483647"},
		"target.gpu-utilization":   {"75", "0.5", "100"},
		"target.queue-depth":       {"4", "1000000"},
		"target.gpu-memory":        {"80"},
		"steps.gpu-utilization":    {"<30:-1, >85:+2, >95:+50%", ">85:+2", "<1:-100%", " > 85 : +2 "},
		"steps.ttft-p95":           {">2.5:+1"},
		"query.gateway-queue":      {"gateway-queue"},
		"query.gateway_queue":      {"gateway-queue"},
		"scale-up.stabilization":   {"0s", "1h", "90s", "1m30s"},
		"scale-down.stabilization": {"0s", "5m"},
		"scale-up.policies":        {"4 pods/15s, 100%/15s", "1 pod/1m", "5pod / 30m", "900%/1s ,3 pods/ 15s"},
		"scale-down.select-policy": {"max", "min", "disabled"},
		"scale-up.tolerance":       {"0.1", "10%", "0", "150%"},
		"startup":                  {"auto", "5m"},
		"max-pending":              {"0", "3", "all"},
		"capacity-wait":            {"15m", "0s"},
		"schedule":                 {"Mon-Fri 08:00-20:00 Europe/Berlin min=4 max=9; Sat,Sun 22:00-06:00 UTC min=2"},
		"paused":                   {"true", "up", "down", "false"},
		"dry-run":                  {"true", "false"},
		"override-hold":            {"10m"},
		"scale-down.order":         {"default", "least-busy"},
		"not-responding":           {"warn", "stop"},
		"scrape":                   {"8000/metrics", "65535/prometheus/metrics", "1/"},
	}
	for key, values := range tests {
		for _, value := range values {
			if _, problems := parseOne(key, value); problems != nil {
				t.Errorf("%s: %q is refused: %v", key, value, problems)
			}
		}
	}
}

func TestInvalidValues(t *testing.T) {
	tests := map[string][]string{
		"enabled":                  {"", "yes", "True", "1"},
		"class":                    {"", "llm"},
		"min-replicas":             {"", "-1", "+1", "1.5", "01", "x", "11", "0", "99999999999999999999"},
		"max-replicas":             {"", "0", "-1", "1e3", "2147483648"},
		"target.gpu-utilization":   {"", "0", "-5", "NaN", "Inf", "1e309", "1e2", "101", "75%", "0x10"},
		"target.queue-depth":       {"0", "0.0001", "1000000000001"},
		"target.ttft-p95":          {"2"},
		"target.queue-dept":        {"4"},
		"target.":                  {"4"},
		"steps.gpu-utilization":    {"", ">85", ">85:2", "85:+2", ">NaN:+1", ">85:+0", "<50:-1, >30:+1", ">85:+1, >85:+2", ">85:+1,"},
		"steps.my-signal":          {">1:+1"},
		"query.gpu-utilization":    {"mine"},
		"query.my-signal":          {"", "sum(up)", "UP"},
		"scale-up.stabilization":   {"", "5", "-1s", "61m", "1d", "999999999999h"},
		"scale-up.policies":        {"", "4/15s", "4 pods", "0 pods/15s", "4 pods/0s", "4 pods/31m", "4 pods/15s,", "-4 pods/15s", strings.Repeat("1 pod/1s,", 10000) + "1 pod/1s"},
		"scale-down.select-policy": {"", "Max", "average"},
		"scale-up.tolerance":       {"", "-0.1", "NaN", "ten", "%"},
		"startup":                  {"", "0s", "soon"},
		"max-pending":              {"", "-1", "some"},
		"idle-after":               {"0s", "never"},
		"activate-on":              {"", "gateway-queue", "gateway-queue > 1", "queue-depth > 0", "gateway-queue > 0"},
		"schedule":                 {"", "Mon 08:00-20:00 UTC", "Mon 8:00-20:00 UTC min=1", "Mon 08:00-08:00 UTC min=1", "Mon 08:00-25:00 UTC min=1", "Moon 08:00-20:00 UTC min=1", "Mon 08:00-20:00 Mars/Base min=1", "Mon 08:00-20:00 UTC min=1 min=2", "Mon 08:00-20:00 UTC mean=1", "Mon 08:00-20:00 UTC min=11", "Mon 08:00-20:00 Local min=1"},
		"paused":                   {"", "yes"},
		"dry-run":                  {"", "yes"},
		"scale-down.order":         {"", "oldest"},
		"not-responding":           {"", "ignore"},
		"scrape":                   {"", "8000", "0/metrics", "65536/metrics", "host:8000/metrics", "8000/../x", "8000/metrics?x=1", "8000/a b"},
		"max-replica":              {"10"},
	}
	for key, values := range tests {
		for _, value := range values {
			_, problems := parseOne(key, value)
			if problems == nil {
				t.Errorf("%s: %q is accepted", key, value)
				continue
			}
			text := problems.Error()
			if !strings.Contains(text, Prefix) || value != "" && len(value) < 50 && !strings.Contains(text, value) {
				t.Errorf("%s: %q: the message names not key and value: %s", key, value, text)
			}
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, problems := Parse(map[string]string{
		Prefix + "enabled": "true", Prefix + "min-replicas": "x", Prefix + "target.gpu-utilization": "NaN",
		Prefix + "colour": "green", Prefix + "max-replica": "4",
	}, Settings{})
	want := []string{
		`gpuscaler.io/colour: "green" is not a known key: the annotation table in the README lists them all`,
		`gpuscaler.io/max-replica: "4" is not a known key: did you mean gpuscaler.io/max-replicas?`,
		`gpuscaler.io/max-replicas: is required: a whole number of at least 1`,
		`gpuscaler.io/min-replicas: "x" is not allowed: give a whole number from 0 to 2147483647`,
		`gpuscaler.io/target.gpu-utilization: "NaN" is not allowed: give a number above 0 and at most 100 (percent)`,
	}
	if got := problems.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// A value that is empty is told as such, and is not taken for a key that is absent.
func TestEmptyValueIsShown(t *testing.T) {
	_, problems := parseOne("min-replicas", "")
	if want := `gpuscaler.io/min-replicas: "" is not allowed: give a whole number from 0 to 2147483647`; problems.Error() != want {
		t.Errorf("got %s\nwant %s", problems, want)
	}
}

// Annotations are other people's text: nothing of it may control a terminal, or fill it.
func TestProblemsArePrintable(t *testing.T) {
	for _, key := range []string{"\x1b[31mred", "two\nlines", "target.\x1b[2J", "steps.\r", strings.Repeat("x", 100000), "target." + strings.Repeat("x", 100000)} {
		_, problems := parseOne(key, "\x1b[0m\n")
		text := problems.Error()
		if len(problems) == 0 || len(text) > 1500 || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || strings.Count(text, "\n") != len(problems)-1 {
			t.Errorf("%.40q: %.2000q", key, text)
		}
	}
}

func TestBoundsAndSignalsTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		annotations map[string]string
		want        string // part of the message, empty if valid
	}{
		"min above max":              {map[string]string{"min-replicas": "5", "max-replicas": "4", "target.queue-depth": "1"}, "min-replicas 5 is above max-replicas 4"},
		"no signal":                  {map[string]string{"max-replicas": "4"}, "no signal at all"},
		"steps alone":                {map[string]string{"max-replicas": "4", "steps.queue-depth": ">5:+1"}, ""},
		"a class alone":              {map[string]string{"max-replicas": "4", "class": "vllm"}, ""},
		"zero without idle-after":    {map[string]string{"min-replicas": "0", "max-replicas": "4", "target.queue-depth": "1"}, "needs gpuscaler.io/idle-after"},
		"zero with all it takes":     {map[string]string{"min-replicas": "0", "max-replicas": "4", "target.queue-depth": "1", "idle-after": "5m", "query.q": "q", "activate-on": "q > 0"}, ""},
		"a class minimum and my max": {map[string]string{"max-replicas": "4", "class": "big"}, "min-replicas 8 is above max-replicas 4"},
		"an unknown query":           {map[string]string{"max-replicas": "4", "query.x": "nope", "target.x": "1"}, "allowed are known, q"},
	} {
		t.Run(name, func(t *testing.T) {
			full := map[string]string{}
			for k, v := range tt.annotations {
				full[Prefix+k] = v
			}
			_, problems := Parse(full, Settings{
				Classes: map[string]map[string]string{"big": {"min-replicas": "8", "target.queue-depth": "4"}},
				Queries: map[string]bool{"known": true, "q": true},
			})
			switch {
			case tt.want == "" && problems != nil:
				t.Errorf("refused: %v", problems)
			case tt.want != "" && !strings.Contains(problems.Error(), tt.want):
				t.Errorf("got %q, want it to contain %q", problems.Error(), tt.want)
			}
		})
	}
}

func TestDeploymentWinsOverClass(t *testing.T) {
	spec, problems := Parse(map[string]string{
		Prefix + "class": "mine", Prefix + "max-replicas": "9", Prefix + "target.queue-depth": "7",
	}, Settings{Classes: map[string]map[string]string{"mine": {"target.queue-depth": "4", "min-replicas": "2"}}})
	if problems != nil {
		t.Fatal(problems)
	}
	if spec.MinReplicas != 2 || spec.MaxReplicas != 9 || spec.Targets[0].Value != 7 {
		t.Errorf("got %+v", spec)
	}
}

func TestBuiltinClassesAreValid(t *testing.T) {
	for name := range builtinClasses {
		if _, problems := Parse(map[string]string{Prefix + "class": name, Prefix + "max-replicas": "4"}, Settings{}); problems != nil {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestDefaults(t *testing.T) {
	spec := mustParse(t, map[string]string{"max-replicas": "4", "target.queue-depth": "4"})
	written := map[string]string{"max-replicas": "4", "target.queue-depth": "4"}
	for _, k := range Keys() {
		switch k.Name {
		case "min-replicas", "scale-up.stabilization", "scale-down.stabilization", "scale-up.policies", "scale-down.policies",
			"scale-up.select-policy", "scale-down.select-policy", "scale-up.tolerance", "scale-down.tolerance", "startup":
			written[k.Name] = strings.Trim(k.Default, `"`)
		}
	}
	if same := mustParse(t, written); !equalRules(spec, same) {
		t.Errorf("the defaults of the table are not those of the parser:\n%+v\n%+v", spec, same)
	}
}

func equalRules(a, b Spec) bool {
	eq := func(a, b Rules) bool {
		return a.StabilizationWindow == b.StabilizationWindow && a.SelectPolicy == b.SelectPolicy && a.Tolerance == b.Tolerance &&
			len(a.Policies) == len(b.Policies) && a.Policies[0] == b.Policies[0] && a.Policies[len(a.Policies)-1] == b.Policies[len(b.Policies)-1]
	}
	return eq(a.ScaleUp, b.ScaleUp) && eq(a.ScaleDown, b.ScaleDown) && a.MinReplicas == b.MinReplicas && a.Startup == b.Startup
}

// FuzzAnnotations reads any key and value beside valid ones. They are left as they are; every problem names its key and says something, in
// a bounded length; what is accepted has bounds in order, durations and tolerances that are none below zero, is the same each time and after
// it was written down as JSON, and decides within its bounds.
func FuzzAnnotations(f *testing.F) {
	for _, k := range keys {
		f.Add(strings.Replace(k.Name, "<signal>", "queue-depth", 1), strings.Trim(k.Form, `"`))
	}
	f.Add("schedule", "Fri-Mon 22:00-24:00 America/New_York max=3;")
	f.Add("steps.x", "<1:-1%,>2:+999999999999999999999")
	f.Fuzz(func(t *testing.T, key, value string) {
		annotations := map[string]string{Prefix + "max-replicas": "10", Prefix + "target.gpu-utilization": "75"}
		annotations[Prefix+key] = value
		before := maps.Clone(annotations)
		spec, problems := Parse(annotations, Settings{MaxSampleAge: time.Minute, Interval: time.Second})
		if !maps.Equal(before, annotations) {
			t.Fatal("the annotations were changed")
		}
		again, problemsAgain := Parse(Ours(annotations), Settings{MaxSampleAge: time.Minute, Interval: time.Second})
		if !reflect.DeepEqual(again, spec) || len(problemsAgain) != len(problems) {
			t.Fatalf("read %+v, %v and then %+v, %v", spec, problems, again, problemsAgain)
		}
		if problems != nil {
			checkProblems(t, problems)
			return
		}
		checkSpec(t, spec)
	})
}

// checkProblems looks at what is said of wrong annotations.
func checkProblems(t *testing.T, problems Problems) {
	t.Helper()
	if len(problems.Error()) > 10000 {
		t.Fatal("a message of", len(problems.Error()), "bytes")
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Key, Prefix) || p.Message == "" {
			t.Fatalf("a problem that says nothing: %+v", p)
		}
	}
}

// checkSpec looks at what was accepted, and decides from it and from what was written down of it.
func checkSpec(t *testing.T, spec Spec) {
	t.Helper()
	if spec.MinReplicas > spec.MaxReplicas || spec.MaxReplicas < 1 || spec.MinReplicas < 0 {
		t.Fatalf("accepted bounds %d to %d", spec.MinReplicas, spec.MaxReplicas)
	}
	for _, r := range []Rules{spec.ScaleUp, spec.ScaleDown} {
		if !(r.Tolerance >= 0) || r.StabilizationWindow < 0 || len(r.Policies) == 0 {
			t.Fatalf("accepted %+v", r)
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var back Spec
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	w := world{spec: spec, replicas: max(spec.MinReplicas, 1), now: testStart}
	o := w.seen(90)
	d, _ := Decide(spec, State{}, o, w.now)
	if other, _ := Decide(back, State{}, o, w.now); other.Desired != d.Desired || other.Reason != d.Reason {
		t.Fatalf("decided %d (%s), and of what was written down %d (%s)", d.Desired, d.Message(), other.Desired, other.Message())
	}
	if b := spec.bounds(w.now); d.Desired < b.minimum || d.Desired > b.maximum {
		t.Fatalf("%d is out of bounds (%s)", d.Desired, d.Message())
	}
}
