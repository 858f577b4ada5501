package admission

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gpuscaler/gpuscaler/policy"
)

// good are values that the parser takes, by the kind of key.
var good = map[policy.Kind][]string{
	policy.WholeKind:     {"0", "1", "3", "10", "2147483647"},
	policy.DurationKind:  {"0s", "1s", "90s", "5m", "1h", "1h0m0s", "1.5m", "100ms", "168h", "10080m", "604800s", "+1s", "-0s", "0", ".5h", "1.h", "1000µs", "2000000μs", "3000000us", "1000000000ns", "0000000001m"},
	policy.ClassKind:     {"vllm", "gpu", "ours"},
	policy.ToleranceKind: {"0.1", "10%", "0", " 5 %", "100", "10000%", ".5", "1.", "\u00a010\u2003%"},
	policy.TargetKind:    {"75", "0.5", "100", "1000000000000", "0.001", "00012.50", "1."},
	policy.StepsKind:     {"<30:-1, >85:+2, >95:+50%", ">85:+2", "<1:-100%", " > 85 : +2 ", "<50:-1,>50:+1", ">0.5:+1,\n>1.5:+\t2%", "<1000000000000:-2147483647"},
	policy.QueryKind:     {"gateway-queue", "q", "7-up"},
	policy.PoliciesKind:  {"4 pods/15s, 100%/15s", "1 pod/1m", "5pod / 30m", "900%/1s ,3 pods/ 15s", "2\u00a0pods\n/ 1m30s"},
	policy.WakeKind:      {"wake > 0", "wake>0", " my_own >\t0 "},
	policy.ScheduleKind: {
		"Mon-Fri 08:00-20:00 Europe/Berlin min=2 max=9; Sat,Sun 22:00-06:00 UTC min=2", "sat 00:00-24:00 UTC max=8;",
		"ſAT-sUN 05:00-06:00 UTC max=4", " Fri-Mon,Tue 23:59-00:00\vAmerica/New_York max=3 min=0 ; ", "SUN 01:00-02:00 UTC min=1",
	},
	policy.ScrapeKind: {"8000/metrics", "65535/prometheus/metrics", "1/", "80/a..b/.c/~"},
}

// bad are values that it refuses, or takes for some kinds only.
var bad = []string{
	"", " ", "x", "-1", "+1", "01", "1e3", "NaN", "Inf", "0x10", "2147483648", "99999999999999999999", "1_000", "1,5", "١", "75%", "true", "True", "all", "auto",
	"max", "up", "1d", "61m", "169h", "1h1", "h", "1", "-1s", "1s ", "999999999999h", "0.0001", "1000000000001", strings.Repeat("9", 400), "." + strings.Repeat("0", 400) + "1",
	"101", "10001%", "%", "10%%", "<30", ">85:2", ">1:+1,>1:+2", "<50:-1, >30:+1", ">1:+0", ">1:+1,", "0 pods/15s", "4 pods/31m", "4 pods/0s", "4/15s", "4 pods",
	"3000000000 pods/15s", "-4 pods/15s", "queue-depth > 0", "gone > 0", "wake > 1", "wake", "8000", "0/metrics", "65536/m", "8000/../x", "8000/a b", "host:80/m", "8000/m?x=1",
	"Mon 08:00-20:00 UTC", "Mon 8:00-20:00 UTC min=1", "Mon 08:00-08:00 UTC min=1", "Mon 24:00-08:00 UTC min=1", "Moon 08:00-20:00 UTC min=1", "Mon-Tue-Wed 08:00-20:00 UTC min=1",
	"Mon 08:00-20:00 Mars/Base min=1", "Mon 08:00-20:00 Local min=1", "Mon 08:00-20:00 UTC min=1 min=2", "Mon 08:00-20:00 UTC mean=1", "Mon 08:00-20:00 UTC max=0",
	"Mon 08:00-20:00 UTC min", "Mon 08:00-20:00 UTC min=3000000000", "Mon 08:00-20:00 UTC min=2147483647", "Mon 08:00-20:00 min=1 max=2", "UP", "sum(up)", "-q", strings.Repeat("q", 64), "\x1b[31mred", "a\nb", "é", "\u200b",
	strings.Repeat(">1:+1,", 32) + ">1:+1", strings.Repeat("1 pod/1s,", 32) + "1 pod/1s", strings.Repeat("Mon 01:00-02:00 UTC min=1;", 33),
}

// typos are put into values: what looks like nothing, what looks like a digit, and what numbers are made of.
var typos = []rune(" \t\n\v\u00a0\u0085\u2003\u200b0123456789.,:;-+%<>/=_xXsmhµeE'\"\\")

// custom are signals that are not built in, some of which no query can define.
var custom = []string{"wake", "my-own", "my_own", "Loud", "x-.y", "queue-dept"}

// lists are the keys with lists, in which most can go wrong.
var lists = slices.DeleteFunc(policy.Keys(), func(k policy.Key) bool { return k.Allowed.Parts == 0 })

// generator makes annotations of its numbers alone.
type generator struct{ *rand.Rand }

// annotations makes those of one Deployment: mostly complete ones, of which some keys are wrong.
func (g generator) annotations() map[string]string {
	keys := map[string]string{}
	g.sometimes(9, func() { keys["enabled"] = "true" })
	g.sometimes(9, func() { keys["max-replicas"] = pick(g, []string{"10", "10", "1"}) })
	g.sometimes(8, func() { keys["target.queue-depth"] = "4" })
	g.sometimes(2, func() { keys["class"] = pick(g, good[policy.ClassKind]) })
	g.sometimes(2, func() {
		keys["min-replicas"], keys["idle-after"], keys["activate-on"], keys["query.wake"] = "0", "10m", "wake > 0", "wake"
	})
	for range g.IntN(4) {
		k := pick(g, policy.Keys())
		g.sometimes(5, func() { k = pick(g, lists) })
		keys[g.name(k.Name)] = g.value(k.Allowed)
	}
	g.sometimes(1, func() { delete(keys, pick(g, []string{"idle-after", "activate-on", "query.wake", "max-replicas"})) })
	annotations := ours(keys)
	g.sometimes(3, func() { annotations["example.com/max-replicas"] = "x" })
	return annotations
}

// sometimes does something so many times of ten.
func (g generator) sometimes(tenths int, do func()) {
	if g.IntN(10) < tenths {
		do()
	}
}

// name is a key of the table for some signal, now and then with a typing error.
func (g generator) name(name string) string {
	if stem, ok := strings.CutSuffix(name, "<signal>"); ok {
		name = stem + pick(g, custom)
		g.sometimes(6, func() { name = stem + string(pick(g, policy.Signals()).Signal) })
	}
	if g.IntN(30) == 0 {
		at := g.IntN(len(name))
		name = name[:at] + pick(g, []string{"", "-x", "s", "_"}) + name[at+1:]
		if name = strings.Trim(name, "-_."); name == "" {
			name = "nothing"
		}
	}
	return name
}

// value is one that is allowed, one that is allowed with a typing error, or another.
func (g generator) value(a policy.Allowed) string {
	value := pick(g, append(slices.Clone(good[a.Kind]), a.Words...))
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		return value
	case 4, 5:
		return pick(g, bad)
	case 6:
		return g.noise()
	}
	for range 1 + g.IntN(2) {
		value = g.typo(value)
	}
	return value
}

// typo changes, adds or takes away a character.
func (g generator) typo(value string) string {
	text := []rune(value)
	at := g.IntN(len(text) + 1)
	switch {
	case g.IntN(2) == 0 || at == len(text):
		text = slices.Insert(text, at, pick(g, typos))
	case g.IntN(2) == 0:
		text = slices.Delete(text, at, at+1)
	default:
		text[at] = pick(g, typos)
	}
	return string(text)
}

// noise is what has no form.
func (g generator) noise() string {
	text := make([]rune, g.IntN(12))
	for i := range text {
		text[i] = pick(g, typos)
	}
	return string(text)
}

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }
