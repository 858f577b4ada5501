// Package admission makes the policy beside it from the annotation table.
package admission

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

var update = flag.Bool("update", false, "rewrite policy.yaml and the chart's copy of it")

// What is wrong with the value of a signal's target or steps.
var (
	targets = []string{"wrongTargets", "smallTargets"}
	steps   = []string{"wrongBands", "longSteps", "doubled", "overlapping"}
)

// families are the variables that list what is wrong, by validation.
var families = [][]string{
	{"unknown"},
	{"wrongWords"},
	{"wrongWholes"},
	{"wrongDurations"},
	{"wrongTolerances"},
	targets,
	{"replacedSignals", "wrongSignals", "wrongQueries"},
	steps,
	{"longPolicies", "wrongPolicies", "wrongAmounts", "wrongPeriods"},
	{"longSchedules", "shortSpans", "wrongDays", "wrongTimes", "wrongBounds"},
	{"wrongWakes", "podWakes"},
	{"wrongScrapes"},
	{"crossedBounds", "missing", "missingForZero", "unknownSignals", "missingForWake"},
}

// The policy is the template filled from the table that the parser reads, with the parser's own messages.
func TestPolicy(t *testing.T) {
	var want bytes.Buffer
	text, err := os.ReadFile("policy.yaml.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	filled, err := template.New("policy").Funcs(functions(t)).Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := filled.Execute(&want, nil); err != nil {
		t.Fatal(err)
	}
	// The chart has a copy: Helm reads no file outside of it.
	for _, file := range []string{"policy.yaml", "../helm/gpuscaler/files/admission-policy.yaml"} {
		got, err := os.ReadFile(file)
		switch {
		case bytes.Equal(got, want.Bytes()):
		case *update:
			if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			t.Errorf("%s is not what table and template give: run go test ./deploy/admission -update", file)
		}
	}
}

// functions are what the template calls: the table, and what the parser says of wrong values. A marker in a value shows where in
// a message it is told.
func functions(t *testing.T) template.FuncMap {
	said := func(name, value string) string { return message(t, map[string]string{name: value}, name) }
	row := func(name string) policy.Allowed { return find(t, name).Allowed }
	return template.FuncMap{
		"prefix":         func() string { return policy.Prefix },
		"key":            func(name string) string { return policy.Prefix + name },
		"fixed":          func() []policy.Key { return slices.DeleteFunc(policy.Keys(), perSignal) },
		"stems":          stems,
		"kind":           kind,
		"keys":           keysOf,
		"list":           list,
		"signalNames":    signalNames,
		"wordsToo":       wordsToo,
		"signals":        policy.Signals,
		"plain":          func() []policy.Problem { return plain(t) },
		"parts":          func(name string) int { return row(name).Parts },
		"largest":        func(name string) int64 { return row(name).Most },
		"shortest":       func(name string) string { return duration(row(name).Least) },
		"longest":        func(name string) string { return duration(row(name).Most) },
		"duration":       duration,
		"decimal":        decimal,
		"units":          units,
		"families":       func() [][]string { return families },
		"signalFamilies": func() []string { return slices.Concat(targets, steps) },
		"join":           strings.Join,
		"cel":            literal,
		"message":        said,
		"marked": func(name, value, marker, by string) string {
			before, after := cut(t, said(name, value), marker)
			return before + by + strings.ReplaceAll(after, marker, by)
		},
		"after": func(name, value, marker string) string {
			_, after := cut(t, said(name, value), marker)
			return after
		},
		"missing": func(name string) string { return message(t, nil, name) },
		"crossed": func(low, high string) string {
			text := message(t, map[string]string{"min-replicas": "77", "max-replicas": "66"}, "min-replicas")
			return strings.NewReplacer("77", low, "66", high).Replace(text)
		},
		"many": func(part, separator string) string { return strings.Repeat(part+separator, 98) + part },
	}
}

// message returns what the parser says of a key.
func message(t *testing.T, values map[string]string, name string) string {
	t.Helper()
	annotations := map[string]string{}
	for k, v := range values {
		annotations[policy.Prefix+k] = v
	}
	_, problems := policy.Parse(annotations, policy.Settings{})
	for _, p := range problems {
		if p.Key == policy.Prefix+name {
			return p.Message
		}
	}
	t.Fatalf("the parser has nothing to say of %s in %v", name, values)
	return ""
}

// cut returns what is before and after a marker that must be there.
func cut(t *testing.T, text, marker string) (before, after string) {
	t.Helper()
	before, after, ok := strings.Cut(text, marker)
	if !ok {
		t.Fatalf("no %s in %q", marker, text)
	}
	return before, after
}

// plain is what is said of the keys whose message does not depend on the value.
func plain(t *testing.T) []policy.Problem {
	var list []policy.Problem
	for _, k := range policy.Keys() {
		switch k.Allowed.Kind {
		case policy.WordKind, policy.WholeKind, policy.DurationKind, policy.ToleranceKind, policy.WakeKind, policy.ScrapeKind:
			list = append(list, policy.Problem{Key: policy.Prefix + k.Name, Message: message(t, map[string]string{k.Name: "x"}, k.Name)})
		case policy.TargetKind:
			for _, s := range policy.Signals() {
				name := "target." + string(s.Signal)
				list = append(list, policy.Problem{Key: policy.Prefix + name, Message: message(t, map[string]string{name: "x"}, name)})
			}
		case policy.ClassKind, policy.StepsKind, policy.QueryKind, policy.PoliciesKind, policy.ScheduleKind:
		default:
			t.Fatalf("%s: the template does not know the kind %s", k.Name, k.Allowed.Kind)
		}
	}
	return list
}

func find(t *testing.T, name string) policy.Key {
	t.Helper()
	i := slices.IndexFunc(policy.Keys(), func(k policy.Key) bool { return k.Name == name })
	if i < 0 {
		t.Fatalf("no key %s in the table", name)
	}
	return policy.Keys()[i]
}

func perSignal(k policy.Key) bool { return strings.HasSuffix(k.Name, "<signal>") }

// stems are what the keys of signals begin with.
func stems() []string {
	var list []string
	for _, k := range policy.Keys() {
		if perSignal(k) {
			list = append(list, policy.Prefix+strings.TrimSuffix(k.Name, "<signal>"))
		}
	}
	return list
}

func kind(of policy.Kind) []policy.Key {
	return slices.DeleteFunc(policy.Keys(), func(k policy.Key) bool { return k.Allowed.Kind != of })
}

func keysOf(of policy.Kind) []string {
	var names []string
	for _, k := range kind(of) {
		names = append(names, policy.Prefix+k.Name)
	}
	return names
}

func signalNames() []string {
	var names []string
	for _, s := range policy.Signals() {
		names = append(names, string(s.Signal))
	}
	return names
}

// list writes a list of strings in CEL.
func list(texts []string) string {
	var quoted []string
	for _, text := range texts {
		quoted = append(quoted, literal(text))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// wordsToo are the keys that allow a word beside other values.
func wordsToo() []policy.Key {
	return slices.DeleteFunc(policy.Keys(), func(k policy.Key) bool {
		return k.Allowed.Kind == policy.WordKind || len(k.Allowed.Words) == 0
	})
}

// duration writes nanoseconds so that CEL reads them.
func duration(ns int64) string { return time.Duration(ns).String() }

// decimal is the regular expression of a decimal number with as many digits before the point as the largest has, beside leading
// zeros.
func decimal(largest int64) string {
	return fmt.Sprintf(`(0*[0-9]{1,%d}(\.[0-9]*)?|\.[0-9]+)`, len(strconv.FormatInt(largest, 10)))
}

// units is that of a number with a unit of time.
func units() string {
	var longest int64
	for _, k := range kind(policy.DurationKind) {
		longest = max(longest, k.Allowed.Most)
	}
	var forms []string
	for _, u := range []struct {
		names string
		is    time.Duration
	}{
		{"h", time.Hour},
		{"m", time.Minute},
		{"s", time.Second},
		{"ms", time.Millisecond},
		{"(us|µs|μs)", time.Microsecond},
		{"ns", time.Nanosecond},
	} {
		forms = append(forms, decimal(longest/int64(u.is))+u.names)
	}
	return strings.Join(forms, "|")
}

// literal writes a string in CEL.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
