package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
)

// TestMain lets the test binary be the Prometheus of the bench, as the program does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == rolePrometheus {
		exit(bePrometheus(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// TestSmallBench runs all of it, briefly: a tick asks Prometheus once, and at rest nothing is asked of the API server but for the lease.
func TestSmallBench(t *testing.T) {
	program, err := buildProgram(t.Context(), "../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const interval = time.Second
	o := &options{
		steps: []int{50}, ticks: 3, fast: 1000, interval: interval, scrape: interval, stepInterval: interval, stepScrape: interval,
		program: program, rights: "../../../deploy/rbac", log: t.Logf,
	}
	s, err := o.measure(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	r := s.rest
	// On a machine that is busy with something else a reply may come too late, which is told by Events.
	if r.queries != len(r.ticks) || r.beside() != 0 && r.blind == 0 {
		t.Errorf("in %d ticks there were %d queries, %d decisions without data, and %v", len(r.ticks), r.queries, r.blind, r.requests)
	}
	if first := r.ticks[0]; first.cpu <= 0 || first.memory < 10<<20 || r.told[0].tell <= 0 || r.first <= 0 || r.startPeak < 10<<20 {
		t.Errorf("not measured: %+v, %+v, %v to the first decision, peak %d", first, r.told[0], r.first, r.startPeak)
	}
	if step := s.steps[0]; len(step.reactions) != 10 || step.reactions[0] <= 0 || step.reactions[9] > 20*time.Second {
		t.Errorf("a step of %d %%: %d reacted, want 10; %v", step.percent, len(step.reactions), step.reactions)
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, tt := range []struct {
		sorted []int
		q      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0.5, 7},
		{[]int{7}, 0.99, 7},
		{[]int{1, 2}, 0.5, 1},
		{[]int{1, 2, 3}, 0.5, 2},
		{[]int{1, 2, 3}, 0.99, 3},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
	} {
		if got := quantile(tt.sorted, tt.q); got != tt.want {
			t.Errorf("quantile %v of %d values is %d, want %d", tt.q, len(tt.sorted), got, tt.want)
		}
	}
}

// made is a report with numbers that are easy to recognise.
func made() *report {
	of := func(n int) *size {
		ms := func(m int) time.Duration { return time.Duration(m*n) * time.Microsecond }
		return &size{
			deployments: n,
			rest: &rest{
				ticks: []tick{{cpu: ms(20), memory: 60 << 20}, {cpu: ms(10), memory: int64(50+n/100) << 20}}, told: []tick{{wall: ms(30), tell: ms(5)}, {tell: ms(6)}},
				first: ms(100), startPeak: 90 << 20, peak: 70 << 20, toldPeak: 80 << 20, lasted: 30 * time.Second, queries: 2, blind: 1234,
				requests: []requestCount{{"update", "leases", 15}, {"watch", "pods", 1}},
			},
			steps: []*step{
				{percent: 1, deployments: n / 100, reactions: slices.Repeat([]time.Duration{1200 * time.Millisecond}, n/100), first: ms(300)},
				{percent: 100, deployments: n, reactions: []time.Duration{time.Second, 2 * time.Second}, first: ms(200), missed: 3},
			},
		}
	}
	return &report{about: "A machine.", sizes: []*size{of(1000), of(10000)}}
}

func TestMarkdown(t *testing.T) {
	want := `A machine.

| | 1,000 Deployments | 10,000 Deployments |
|---|---:|---:|
| pods | 10,000 | 100,000 |
| tick: CPU p50 / p99 | 10.0 ms / 20.0 ms | 100.0 ms / 200.0 ms |
| tick: wall time p50 / p99 | 30.0 ms / 30.0 ms | 300.0 ms / 300.0 ms |
| CPU of a core at that interval | 0.10 % | 1.00 % |
| telling its metrics once: CPU p50 | 5.0 ms | 50.0 ms |
| memory (RSS) after a tick, most | 60 MiB | 150 MiB |
| memory at any time, most | 70 MiB | 70 MiB |
| the same with its metrics told after each tick | 80 MiB | 80 MiB |
| memory at the start, most | 90 MiB | 90 MiB |
| start of the process to first decision | 0.20 s | 2.00 s |
| queries to Prometheus per tick | 1.00 | 1.00 |
| API requests per minute: lease | 30.0 | 30.0 |
| API requests per minute: all others | 2.0 | 2.0 |
| ticks missed, decisions without data | 0, 1,234 | 0, 1,234 |
| step of 1 %: reaction p50 / p99 | 1.20 s / 1.20 s | 1.20 s / 1.20 s |
| step of 100 %: reaction p50 / p99 | 1.00 s / 2.00 s, 998 not (3 ticks missed, 0 decisions without data) | 1.00 s / 2.00 s, 9,998 not (3 ticks missed, 0 decisions without data) |

From 1,000 to 10,000 Deployments, 10.0 times as many, a tick's CPU time grows 10.0 times and the memory after a tick 2.5 times.
`
	if got := made().markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "scale.csv")
	if err := writeCSV(path, made().records()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, want := range []string{
		"deployments,what,number,value,unit", "1000,tick cpu,1,0.01,s", "10000,requests update leases,0,15,", "1000,step 100% reaction,1,2,s",
		"1000,first decision,2,0.2,s",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

func TestBetween(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"before\n[\nold\n]\nafter\n", "before\n[\nnew\n]\nafter\n"},
		{"before\n[]\nafter\n", "before\n[\nnew\n]\nafter\n"},
		{"]\n[\n", ""},
		{"nothing", ""},
	} {
		got, err := between(tt.text, "[", "]", "new\n")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q became %q (%v), want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []int
		err  string
	}{
		{"100, 1000", []int{100, 1000}, ""},
		{"", nil, ""},
		{"100,x", nil, `-sizes "100,x": "x" is not a number from 1 to 1000`},
		{"1001", nil, `-sizes "1001": "1001" is not a number from 1 to 1000`},
		{"0", nil, `-sizes "0": "0" is not a number from 1 to 1000`},
	} {
		got, err := numbers("sizes", tt.text, 1, 1000)
		if !reflect.DeepEqual(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%q: %v, %v; want %v, %s", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func TestMetricsOf(t *testing.T) {
	page := "# TYPE a counter\na 3\nab 4\nx{reason=\"NoData\"} 1e+06\nx{reason=\"Gap\"} 7\n"
	got, err := metricsOf(strings.NewReader(page), "a", `x{reason="NoData"}`, "absent")
	if want := map[string]float64{"a": 3, `x{reason="NoData"}`: 1e6}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
	if _, err := metricsOf(strings.NewReader("a b\n"), "a"); err == nil {
		t.Error("b is taken for a number")
	}
}

func TestStatusKB(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t     3 kB\n"
	for name, want := range map[string]int64{"VmHWM": 2 << 20, "VmRSS": 3 << 10} {
		if got, err := statusKB(status, name); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", name, got, err, want)
		}
	}
	if _, err := statusKB(status, "VmSwap"); err == nil {
		t.Error("there is no VmSwap")
	}
}

// TestCluster: all that is seeded hangs together, each thing has a name of its own, and a pod is as large as real ones are.
func TestCluster(t *testing.T) {
	c, err := newCluster(130)
	if err != nil {
		t.Fatal(err)
	}
	counts, names, uids, addresses := map[string]int{}, map[string]bool{}, map[types.UID]string{}, map[string]bool{}
	for o := range c.objects() {
		m, err := meta.Accessor(o)
		if err != nil {
			t.Fatal(err)
		}
		kind, at := fmt.Sprintf("%T", o), m.GetNamespace()+"/"+m.GetName()
		if names[kind+at] {
			t.Fatalf("two of %s %s", kind, at)
		}
		counts[kind]++
		names[kind+at] = true
		uids[m.GetUID()] = at
		for _, owner := range m.GetOwnerReferences() {
			if uids[owner.UID] != m.GetNamespace()+"/"+owner.Name {
				t.Fatalf("%s belongs to %+v", at, owner)
			}
		}
		pod, ok := o.(*corev1.Pod)
		if !ok {
			continue
		}
		if text, err := json.Marshal(o); err != nil || len(text) < 5000 || len(text) > 12000 {
			t.Fatalf("%s has %d bytes (%v)", at, len(text), err)
		}
		addresses[pod.Status.PodIP] = true
	}
	want := map[string]int{"*v1.Namespace": 100, "*v1.Node": 65, "*v1.Deployment": 130, "*v1.ReplicaSet": 130, "*v1.Pod": 1300}
	if !reflect.DeepEqual(counts, want) || len(addresses) != 1300 {
		t.Errorf("there are %v with %d addresses, want %v", counts, len(addresses), want)
	}
}

// TestExporters: each pod of the cluster has one series, on the page of its Deployment.
func TestExporters(t *testing.T) {
	e, err := startExporters(25)
	if err != nil {
		t.Fatal(err)
	}
	defer e.stop()
	e.set(0, 25, restLoad)
	e.set(10, 5, stepLoad)
	series, stepped := map[string]bool{}, 0
	for _, target := range e.targets() {
		text, err := get(t.Context(), "http://"+target.Addr+target.Labels["__metrics_path__"])
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			if strings.HasPrefix(line, "#") {
				continue
			}
			if series[name] {
				t.Errorf("twice: %s", name)
			}
			series[name] = true
			if value == fmt.Sprint(stepLoad) {
				stepped++
			}
		}
	}
	if len(series) != 25*podsEach || stepped != 5*podsEach {
		t.Errorf("%d series, %d of them stepped", len(series), stepped)
	}
}
