package admission

import (
	"maps"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gpuscaler/gpuscaler/policy"
)

// denied is what the API server puts before the messages.
const denied = "ValidatingAdmissionPolicy 'gpuscaler-annotations' with binding 'gpuscaler-annotations' denied request: "

// cases are valid annotations with some changed; an empty value removes the key.
var cases = []struct {
	change map[string]string
	want   string // all that is told, empty if nothing is refused
}{
	{nil, ""},
	{map[string]string{"max-replica": "4"}, `max-replica: "4" is not a known key: the annotation table in the README lists them all`},
	{
		map[string]string{"enable": "true", "enabled": ""},
		`enable: "true" is not a known key: the annotation table in the README lists them all`,
	},
	{map[string]string{"enabled": "yes"}, `enabled: "yes" is not allowed: give true or false`},
	{map[string]string{"paused": "yes"}, `paused: "yes" is not allowed: give "true" (stop all), "up" or "down" (stop that direction)`},
	{map[string]string{"min-replicas": "1.5"}, `min-replicas: "1.5" is not allowed: give a whole number from 0 to 2147483647`},
	{map[string]string{"max-pending": "some"}, `max-pending: "some" is not allowed: give a whole number from 0 to 2147483647; or all`},
	{map[string]string{"max-pending": "all", "startup": "auto"}, ""},
	{map[string]string{"startup": "soon"}, `startup: "soon" is not allowed: give a duration from 1s to 168h, such as 90s, 5m or 1h30m; or auto`},
	{
		map[string]string{"scale-down.stabilization": "61m"},
		`scale-down.stabilization: "61m" is not allowed: give a duration from 0s to 1h, such as 90s, 5m or 1h30m`,
	},
	{
		map[string]string{"scale-up.tolerance": "-0.1"},
		`scale-up.tolerance: "-0.1" is not allowed: give a fraction such as "0.1" or a percentage such as "10%", not negative`,
	},
	{
		map[string]string{"target.gpu-utilization": "101"},
		`target.gpu-utilization: "101" is not allowed: give a number above 0 and at most 100 (percent)`,
	},
	{
		map[string]string{"target.queue-depth": "0.0001"},
		`target.queue-depth: "0.0001" is not allowed: targets are in whole thousandths, of which the smallest is 0.001`,
	},
	{
		map[string]string{"target.ttft-p95": "2"},
		`target.ttft-p95: "2" cannot be a target, because latency does not fall in proportion when replicas rise: use gpuscaler.io/steps.ttft-p95`,
	},
	{
		map[string]string{"steps.ttft-p95": ">2.5:1"},
		`steps.ttft-p95: ">2.5:1" has the band ">2.5:1": give a threshold and a change, as in ">85:+2", "<30:-1" or ">95:+50%"`,
	},
	{
		map[string]string{"steps.ttft-p95": ">2.5:+1,>2.50:+2"},
		`steps.ttft-p95: ">2.5:+1,>2.50:+2" has two bands at the threshold 2.5: give each threshold once`,
	},
	{
		map[string]string{"steps.ttft-p95": "<3:-1,<4:-2, >2.5:+1"},
		`steps.ttft-p95: "<3:-1,<4:-2, >2.5:+1" has bands that overlap between 2.5 and 4: the thresholds of < must not be above those of >`,
	},
	{
		map[string]string{"query.queue-depth": "q"},
		`query.queue-depth: "q" would replace the built-in signal queue-depth: give the signal a name of its own`,
	},
	{
		map[string]string{"query.Mine": "q"},
		`query.Mine: "q" names the signal "Mine": allowed are lower-case letters, digits, - and _, at most 63, - and _ not at the ends`,
	},
	{
		map[string]string{"query.mine": "sum(up)"},
		`query.mine: "sum(up)" is not the name of a query: allowed are lower-case letters, digits and -, at most 63; the query itself is defined by the administrator`,
	},
	{
		map[string]string{"steps.ttft-p95": strings.Repeat(">1:1,", 32)},
		`steps.ttft-p95: "` + strings.Repeat(">1:1,", 20) + `…" has 33 bands: at most 32 are allowed`,
	},
	{
		map[string]string{"scale-up.policies": strings.Repeat("1/1s,", 32)},
		`scale-up.policies: "` + strings.Repeat("1/1s,", 20) + `…" has 33 policies: at most 32 are allowed`,
	},
	{
		map[string]string{"schedule": strings.Repeat("Mon;;", 16) + "Tue;"},
		`schedule: "` + strings.Repeat("Mon;;", 16) + `Tue;" has 33 spans: at most 32 are allowed`,
	},
	{
		map[string]string{"scale-up.policies": "4 pods"},
		`scale-up.policies: "4 pods" has the policy "4 pods": give an amount and a period, as in "4 pods/15s" or "100%/15s"`,
	},
	{
		map[string]string{"scale-up.policies": "4/15s"},
		`scale-up.policies: "4/15s" has the amount "4": give a whole number of at least 1 with "pods" or "%"`,
	},
	{
		map[string]string{"scale-down.policies": "1 pod/31m"},
		`scale-down.policies: "1 pod/31m" has the period "31m", which is not allowed: give a duration from 1s to 30m, such as 90s, 5m or 1h30m`,
	},
	{
		map[string]string{"schedule": "Mon 08:00-20:00 UTC"},
		`schedule: "Mon 08:00-20:00 UTC" has the span "Mon 08:00-20:00 UTC": give days, times, a time zone and a bound, as in "Mon-Fri 08:00-20:00 Europe/Berlin min=4"`,
	},
	{
		map[string]string{"schedule": "Mon,Moon 08:00-20:00 UTC min=1"},
		`schedule: "Mon,Moon 08:00-20:00 UTC min=1" has the span "Mon,Moon 08:00-20:00 UTC min=1": unknown days "Moon": give Mon, Tue, Wed, Thu, Fri, Sat, Sun, ranges as Mon-Fri and lists as Sat,Sun`,
	},
	{
		map[string]string{"schedule": "Mon 08:00-08:00 UTC min=1"},
		`schedule: "Mon 08:00-08:00 UTC min=1" has the span "Mon 08:00-08:00 UTC min=1": wrong times "08:00-08:00": give two different ones from 00:00 to 24:00, as in 08:00-20:00`,
	},
	{
		map[string]string{"schedule": "Mon 08:00-20:00 UTC min=1 min=2"},
		`schedule: "Mon 08:00-20:00 UTC min=1 min=2" has the span "Mon 08:00-20:00 UTC min=1 min=2": give bounds as min=N or max=N, each at most once`,
	},
	{map[string]string{"schedule": "Mon 08:00-20:00 Mars/Base min=1"}, ""}, // the controller knows the zones
	{
		map[string]string{"activate-on": "queue > 1"},
		`activate-on: "queue > 1" is not allowed: give the name of a workload signal and "> 0", as in "gateway-queue > 0"`,
	},
	{
		map[string]string{"activate-on": "queue-depth > 0"},
		`activate-on: "queue-depth > 0" must name a workload signal, and queue-depth comes from the Deployment's pods, of which there are none then: give a signal of another name, with query.<signal> as the name of a query with one series`,
	},
	{
		map[string]string{"activate-on": "queue > 0"},
		`activate-on: "queue > 0" must name a workload signal, which does not come from the Deployment's pods: give query.queue, the name of a query with one series`,
	},
	{
		map[string]string{"scrape": "8000/../x"},
		`scrape: "8000/../x" is not allowed: give a port from 1 to 65535 and a path, as in "8000/metrics"`,
	},
	{
		map[string]string{"target.queue-dept": "4"},
		`target.queue-dept: "4" is for the unknown signal "queue-dept": allowed are gpu-utilization, gpu-memory, tokens-per-second, requests-per-second, queue-depth, running-requests, kv-cache, ttft-p95, inter-token-p95, queue-time-p95, or a signal of your own with query.queue-dept`,
	},
	{map[string]string{"target.queue-dept": "4", "class": "ours"}, ""}, // a class of the administrator's may define it
	{map[string]string{"max-replicas": ""}, `max-replicas: is required: a whole number of at least 1`},
	{map[string]string{"max-replicas": "", "class": "ours"}, ""},
	{
		map[string]string{"target.gpu-utilization": ""},
		`target.<signal>: no signal at all: give at least one target.<signal> or steps.<signal>, or a class; signals are gpu-utilization, gpu-memory, tokens-per-second, requests-per-second, queue-depth, running-requests, kv-cache`,
	},
	{
		map[string]string{"min-replicas": "11"},
		`min-replicas: "11" min-replicas 11 is above max-replicas 10: min-replicas must not be above max-replicas`,
	},
	{map[string]string{"min-replicas": "11", "enabled": "false"}, ""},
	{
		map[string]string{"min-replicas": "0", "idle-after": "5m"},
		`min-replicas: "0" needs gpuscaler.io/activate-on as well: without it nothing would bring the Deployment to zero and back`,
	},
	// Everything is told at once, whatever the family.
	{
		map[string]string{"colour": "green", "min-replicas": "-1", "max-replicas": ""},
		`colour: "green" is not a known key: the annotation table in the README lists them all; ` +
			`gpuscaler.io/min-replicas: "-1" is not allowed: give a whole number from 0 to 2147483647; ` +
			`gpuscaler.io/max-replicas: is required: a whole number of at least 1`,
	},
	// Texts of others are shown in part, and only if that can be done.
	{map[string]string{"paused": "\x1b[31m"}, "paused: has characters that cannot be shown here: `gpuscaler check` tells what is wrong"},
	{
		map[string]string{"dry-run": strings.Repeat("x", 101)},
		`dry-run: "` + strings.Repeat("x", 100) + `…" is not allowed: give true or false`,
	},
	// What is too long to be evaluated is admitted: the controller refuses it.
	{map[string]string{"startup": strings.Repeat("999h", 3000)}, ""},
}

func TestCases(t *testing.T) {
	for _, c := range cases {
		annotations := map[string]string{"enabled": "true", "max-replicas": "10", "target.gpu-utilization": "75"}
		maps.Copy(annotations, c.change)
		maps.DeleteFunc(annotations, func(_, v string) bool { return v == "" })
		err := refused(t.Context(), ours(annotations))
		if err != nil && !apierrors.IsInvalid(err) {
			t.Fatal(err)
		}
		if got := told(err); got != c.want {
			t.Errorf("%.200q\ngot  %.2000s\nwant %s", c.change, got, c.want)
		}
	}
}

// told is what the policy says, without the first prefix, empty if it admits.
func told(err error) string {
	if err == nil {
		return ""
	}
	_, text, ok := strings.Cut(err.Error(), denied)
	if !ok {
		return "not by the policy: " + err.Error()
	}
	return strings.TrimPrefix(text, "gpuscaler.io/")
}

// TestGood sends each good value of each key alone. Not every key of a kind takes all of them, but each is taken by one.
func TestGood(t *testing.T) {
	taken := map[string]bool{}
	for _, k := range policy.Keys() {
		name := strings.Replace(k.Name, "<signal>", "queue-depth", 1)
		if k.Allowed.Kind == policy.QueryKind {
			name = "query.my_own"
		}
		for _, value := range slices.Concat(good[k.Allowed.Kind], k.Allowed.Words) {
			keys := map[string]string{"enabled": "true", "class": "ours", "max-replicas": "2147483647"}
			keys[name] = value
			settings := generous(ours(keys))
			settings.Queries = nil
			_, problems := policy.Parse(ours(keys), settings)
			taken[value] = taken[value] || problems == nil
			if err := refused(t.Context(), ours(keys)); (err == nil) != (problems == nil) {
				t.Errorf("%s: %q\npolicy: %v\nparser: %v", name, value, err, problems)
			}
		}
	}
	for value, ok := range taken {
		if !ok {
			t.Errorf("%q is meant to be good, but no key takes it", value)
		}
	}
}
