package soak

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// usage is what a process takes.
type usage struct {
	goroutines, files float64
	heap, resident    float64 // bytes
	// series counts those of each metric.
	series map[string]int
}

// scrape reads the metrics of a process.
func scrape(p *stage.Process) (map[string]*dto.MetricFamily, error) {
	text, err := stage.Get("http://" + p.Listen + "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}

// value is that of a metric without labels.
func value(families map[string]*dto.MetricFamily, name string) float64 {
	m := families[name].GetMetric()
	if len(m) == 0 {
		return 0
	}
	return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue() + m[0].GetUntyped().GetValue()
}

// samples is how often a process is looked at for one usage: of what comes and goes the least counts, so that garbage that has not been
// collected and a request under way do not.
const samples = 12

// measure looks at a process for some seconds.
func measure(p *stage.Process) (usage, error) {
	var least usage
	for n := range samples {
		families, err := scrape(p)
		if err != nil {
			return usage{}, err
		}
		now := usage{
			goroutines: value(families, "go_goroutines"), files: value(families, "process_open_fds"),
			heap: value(families, "go_memstats_heap_alloc_bytes"), resident: value(families, "process_resident_memory_bytes"),
			series: map[string]int{},
		}
		for name, family := range families {
			now.series[name] = len(family.GetMetric())
		}
		if n == 0 {
			least = now
		}
		least.goroutines, least.files = min(least.goroutines, now.goroutines), min(least.files, now.files)
		least.heap, least.resident, least.series = min(least.heap, now.heap), min(least.resident, now.resident), now.series
		time.Sleep(300 * time.Millisecond)
	}
	return least, nil
}

const mib = 1 << 20

// String tells it in a line.
func (u usage) String() string {
	total := 0
	for _, n := range u.series {
		total += n
	}
	return fmt.Sprintf("%.0f goroutines, %.0f open files, %.0f MiB heap, %.0f MiB resident, %d series", u.goroutines, u.files, u.heap/mib, u.resident/mib, total)
}

// grown says what a process takes more than it did, beyond what may be: ten goroutines and ten files, which connections come and go with;
// half as much memory again, and the 32 MiB that the past of all workloads may take, of which garbage doubles what is resident; and of the
// metrics that a workload has for each reason that it was ever held for, as many as there are reasons. All other series of workloads are
// as many as before.
func (u usage) grown(before usage) error {
	var problems []error
	check := func(what string, now, most float64) {
		if now > most {
			problems = append(problems, fmt.Errorf("%s: %.0f, want at most %.0f", what, now, most))
		}
	}
	check("goroutines", u.goroutines, before.goroutines+10)
	check("open files", u.files, before.files+10)
	check("bytes of heap", u.heap, 1.5*before.heap+32*mib)
	check("bytes resident", u.resident, 1.5*before.resident+64*mib)
	workloads := float64(before.series["gpuscaler_current_replicas"])
	for _, name := range slices.Sorted(maps.Keys(u.series)) {
		now, was := float64(u.series[name]), float64(before.series[name])
		switch {
		case name == "gpuscaler_held" || name == "gpuscaler_condition":
			check("series of "+name, now, workloads*reasons)
		case name == "gpuscaler_decisions_total":
			check("series of "+name, now, reasons)
		case name == "gpuscaler_samples_dropped_total" || name == "gpuscaler_scrapes_total":
			check("series of "+name, now, 2*drops)
		case strings.HasPrefix(name, "gpuscaler_"):
			check("series of "+name, now, was)
		default: // those of the Go runtime and of client-go's requests
			check("series of "+name, now, was+20)
		}
	}
	return errors.Join(problems...)
}

// reasons is more than there are in the closed list, and drops more than there are reasons to drop samples, of a signal or two.
const (
	reasons = 50
	drops   = 20
)
