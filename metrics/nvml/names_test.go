package nvml

import (
	"slices"
	"testing"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// TestNamesAreInTheTable: what the agent writes is what the table of signals looks for.
func TestNamesAreInTheTable(t *testing.T) {
	for _, c := range []struct {
		signal        policy.Signal
		metric, total string
	}{
		{policy.GPUUtilization, MetricUtilization, ""},
		{policy.GPUMemory, MetricMemoryUsed, MetricMemoryTotal},
	} {
		sources := metrics.Sources(c.signal)
		i := slices.IndexFunc(sources, func(s metrics.Source) bool { return s.Metric == c.metric })
		if i < 0 {
			t.Errorf("%s: %s is none of its sources", c.signal, c.metric)
			continue
		}
		s := sources[i]
		if s.Total != c.total || !slices.Equal(s.Identity, []string{LabelUUID}) || s.Match.Label != LabelWindow || !slices.Contains(Windows(), s.Match.Value) {
			t.Errorf("%s: the table has %+v", c.signal, s)
		}
	}
}
