//go:build linux && cgo

package nvml

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// gpmSupported reports whether a GPU counts what its GPU instances do: Hopper and later, with a driver that knows of it.
func (l *library) gpmSupported(gpu nvml.Device) bool {
	if !l.has("nvmlGpmQueryDeviceSupport") || !l.has("nvmlGpmMigSampleGet") {
		return false
	}
	support, ret := gpu.GpmQueryDeviceSupport()
	return ret == nvml.SUCCESS && support.IsSupportedDevice != 0
}

// gpmReader reads the counters of one GPU instance. A reading is the difference between two samples.
type gpmReader struct {
	api      nvml.Interface
	parent   nvml.Device
	instance int
	previous nvml.GpmSample
}

// utilization is the share of time the instance was busy since the previous call, 0-1.
func (g *gpmReader) utilization() (float64, error) {
	sample, ret := g.api.GpmSampleAlloc()
	if err := check(CallUtilization, ret); err != nil {
		return 0, err
	}
	if ret := g.parent.GpmMigSampleGet(g.instance, sample); ret != nvml.SUCCESS {
		free(sample)
		g.close() // what comes after a failure starts anew
		return 0, check(CallUtilization, ret)
	}
	previous := g.previous
	g.previous = sample
	if previous == nil {
		return 0, fmt.Errorf("%s: %w before the second sample", CallUtilization, ErrUnavailable)
	}
	defer free(previous)
	return g.between(previous, sample)
}

// between compares two samples. GRAPHICS_UTIL is in percent, unlike DCGM's ratio of the same.
func (g *gpmReader) between(older, newer nvml.GpmSample) (float64, error) {
	query := nvml.GpmMetricsGetType{NumMetrics: 1, Sample1: older, Sample2: newer}
	query.Metrics[0].MetricId = uint32(nvml.GPM_METRIC_GRAPHICS_UTIL)
	if err := check(CallUtilization, g.api.GpmMetricsGet(&query)); err != nil {
		return 0, err
	}
	metric := &query.Metrics[0]
	if err := check(CallUtilization, nvml.Return(metric.NvmlReturn)); err != nil {
		return 0, err
	}
	return fraction(CallUtilization, rounded(metric.Value))
}

// rounded takes away what a quotient of two counters can be over 100 percent when the instance never rested. A saturated
// GPU must not be one of which nothing is known.
func rounded(percent float64) float64 {
	if percent > 100 && percent <= 101 {
		return 100
	}
	return percent
}

// close frees the sample that is kept.
func (g *gpmReader) close() {
	if g.previous != nil {
		free(g.previous)
		g.previous = nil
	}
}

// free frees a sample. There is nothing to be done about one that the driver does not free.
func free(sample nvml.GpmSample) { _ = sample.Free() }
