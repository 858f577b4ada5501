package metrics

import (
	"strings"

	"github.com/gpuscaler/gpuscaler/policy"
)

// KnownMetric is a source of a signal, found by the name of its metric.
type KnownMetric struct {
	Signal policy.Signal
	Source Source
}

// Lookup finds the sources that read a metric. The name may be as an exporter writes it or as it is written where colons are not
// allowed and counters are shown as rates: vllm_generation_tokens is vllm:generation_tokens_total.
func Lookup(metric string) []KnownMetric {
	var found []KnownMetric
	for i := range signalTable {
		for _, source := range signalTable[i].sources {
			if bareName(source.Metric) == bareName(metric) {
				found = append(found, KnownMetric{Signal: signalTable[i].signal, Source: source})
			}
		}
	}
	return found
}

// bareName is what the spellings of a metric's name have in common.
func bareName(metric string) string {
	name := strings.ReplaceAll(strings.ToLower(metric), ":", "_")
	for _, suffix := range []string{"_per_second", "_bucket", "_total"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}
