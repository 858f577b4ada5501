//go:build linux && cgo

package nvml

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
)

// TestUse takes the driver's answers one after the other and wants the use of processes 1 and 2 in percent after each.
func TestUse(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers [][]useSample
		want    []string
	}{
		{
			name:    "what was before the first reading is nobody's present use",
			answers: [][]useSample{{{1, 100, 90}, {2, 200, 80}}, nil},
			want:    []string{"? ?", "0 0"},
		},
		{
			name:    "the newest of several counts, in whatever order",
			answers: [][]useSample{nil, {{1, 300, 10}, {1, 500, 30}, {1, 400, 20}}},
			want:    []string{"? ?", "30 0"},
		},
		{
			name:    "one reading without a sample is no idleness, two are",
			answers: [][]useSample{nil, {{1, 300, 10}}, nil, nil, {{1, 900, 40}}},
			want:    []string{"? ?", "10 0", "10 0", "0 0", "40 0"},
		},
		{
			name:    "old samples come again",
			answers: [][]useSample{nil, {{1, 300, 10}}, {{1, 300, 10}}, {{1, 300, 10}}},
			want:    []string{"? ?", "10 0", "10 0", "0 0"},
		},
		{
			name:    "a percentage that cannot be",
			answers: [][]useSample{nil, {{1, 300, math.MaxUint32}, {2, 300, 100}}},
			want:    []string{"? ?", "? 100"},
		},
	} {
		var u use
		for n, answer := range c.answers {
			u.take(answer)
			if got := percents(u.of(1), u.of(2)); got != c.want[n] {
				t.Errorf("%s: after answer %d it is %s, want %s", c.name, n, got, c.want[n])
			}
		}
	}
}

// percents writes ratios as percent, ? for what is not known.
func percents(ratios ...float64) string {
	var all []string
	for _, r := range ratios {
		if math.IsNaN(r) {
			all = append(all, "?")
		} else {
			all = append(all, fmt.Sprint(math.Round(r*100)))
		}
	}
	return strings.Join(all, " ")
}

func TestProcesses(t *testing.T) {
	infos := func(list ...nvml.ProcessInfo) func() ([]nvml.ProcessInfo, nvml.Return) {
		return func() ([]nvml.ProcessInfo, nvml.Return) { return list, nvml.SUCCESS }
	}
	samples := func(ret nvml.Return, list ...nvml.ProcessUtilizationSample) func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) {
		return func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) { return list, ret }
	}
	for _, c := range []struct {
		name    string
		compute func() ([]nvml.ProcessInfo, nvml.Return)
		mps     func() ([]nvml.ProcessInfo, nvml.Return)
		use     func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return)
		want    string // PID:bytes:percent
		reason  string
	}{
		{name: "none", want: ""},
		{
			name: "none of them computes", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}),
			use: samples(nvml.ERROR_NOT_FOUND), want: "1:10:0",
		},
		{
			name: "an empty buffer, to which the wrapper adds an error of its own", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}),
			use: samples(nvml.ERROR_INSUFFICIENT_SIZE), want: "1:10:0",
		},
		{
			name: "a buffer that was too small in the meantime", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}),
			use: samples(nvml.ERROR_INSUFFICIENT_SIZE, nvml.ProcessUtilizationSample{Pid: 1}), reason: "insufficient_size",
		},
		{
			name: "one computes", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}, nvml.ProcessInfo{Pid: 2, UsedGpuMemory: 20}),
			use: samples(nvml.SUCCESS, nvml.ProcessUtilizationSample{Pid: 2, TimeStamp: 7, SmUtil: 35}), want: "1:10:0 2:20:35",
		},
		{
			name: "one computes that is not listed", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}),
			use: samples(nvml.SUCCESS, nvml.ProcessUtilizationSample{Pid: 3, TimeStamp: 7, SmUtil: 35}), want: "1:10:0 3:NaN:35",
		},
		{
			name: "clients of MPS, one of them in both lists", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}),
			mps: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}, nvml.ProcessInfo{Pid: 2, UsedGpuMemory: 20}), want: "1:10:0 2:20:0",
		},
		{
			name: "memory that is not told", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: math.MaxUint64}), want: "1:NaN:0",
		},
		{
			name: "use that is not told", compute: infos(nvml.ProcessInfo{Pid: 1, UsedGpuMemory: 10}),
			use: samples(nvml.ERROR_NOT_SUPPORTED), want: "1:10:NaN",
		},
		{name: "lost", use: samples(nvml.ERROR_GPU_IS_LOST), reason: ReasonLost},
		{name: "not listed", compute: func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NO_PERMISSION }, reason: "no_permission"},
	} {
		gpu, d := first(t, machine(dgxa100.New()))
		if c.compute != nil {
			gpu.GetComputeRunningProcessesFunc = c.compute
		}
		if c.mps != nil {
			gpu.GetMPSComputeRunningProcessesFunc = c.mps
		}
		_, _ = d.Processes() // up to here is the past
		if c.use != nil {
			gpu.GetProcessUtilizationFunc = c.use
		}
		processes, err := d.Processes()
		var all []string
		for _, p := range processes {
			all = append(all, fmt.Sprintf("%d:%v:%v", p.PID, p.Memory, math.Round(p.Utilization*100)))
		}
		if got := strings.Join(all, " "); got != c.want || reason(err) != c.reason {
			t.Errorf("%s: got %q, %v, want %q, %q", c.name, got, err, c.want, c.reason)
		}
	}
}

// TestUseAfterAPause wants what was computed while nobody looked not to be present use.
func TestUseAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu, d := first(t, machine(dgxa100.New()))
		var timestamp uint64
		gpu.GetProcessUtilizationFunc = func(since uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) {
			if timestamp <= since {
				return nil, nvml.ERROR_NOT_FOUND
			}
			return []nvml.ProcessUtilizationSample{{Pid: 1, TimeStamp: timestamp, SmUtil: 50}}, nvml.SUCCESS
		}
		for _, step := range []struct {
			after  time.Duration
			sample uint64
			want   string
		}{{0, 0, ""}, {time.Second, 1, "50"}, {time.Minute, 2, ""}, {time.Second, 3, "50"}} {
			time.Sleep(step.after)
			timestamp = step.sample
			processes, err := d.Processes()
			got := ""
			for _, p := range processes {
				got += percents(p.Utilization)
			}
			if err != nil || got != step.want {
				t.Errorf("after sample %d it is %q, %v, want %q", step.sample, got, err, step.want)
			}
		}
	})
}
