//go:build linux && cgo

package nvml

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

// instance is a MIG device: its GPU instance and its compute instance in it.
type instance struct{ gi, ci int }

// divided puts the first GPU of a machine into MIG mode.
func divided(s *server.Server, instances ...instance) *server.Device {
	gpu := machine(s).Devices[0].(*server.Device)
	gpu.MigMode = nvml.DEVICE_MIG_ENABLE
	gpu.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED }
	gpu.GetMaxMigDeviceCountFunc = func() (int, nvml.Return) { return 7, nvml.SUCCESS }
	gpu.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) { return nvml.GpmSupport{}, nvml.ERROR_NOT_SUPPORTED }
	gpu.GetMigDeviceHandleByIndexFunc = func(index int) (nvml.Device, nvml.Return) {
		if index >= len(instances) {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return migDevice(instances[index]), nvml.SUCCESS
	}
	return gpu
}

// migDevice is a MIG device as the driver shows it: without utilization and power.
func migDevice(of instance) *mock.Device {
	return &mock.Device{
		GetUUIDFunc:              func() (string, nvml.Return) { return fmt.Sprintf("MIG-%d-%d", of.gi, of.ci), nvml.SUCCESS },
		GetNameFunc:              func() (string, nvml.Return) { return "NVIDIA H100 80GB HBM3 MIG 1g.10gb", nvml.SUCCESS },
		GetGpuInstanceIdFunc:     func() (int, nvml.Return) { return of.gi, nvml.SUCCESS },
		GetComputeInstanceIdFunc: func() (int, nvml.Return) { return of.ci, nvml.SUCCESS },
		GetMemoryInfo_v2Func: func() (nvml.Memory_v2, nvml.Return) {
			return nvml.Memory_v2{Total: 10 * gib, Used: gib}, nvml.SUCCESS
		},
		GetComputeRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) {
			return []nvml.ProcessInfo{{Pid: 100, UsedGpuMemory: gib, GpuInstanceId: uint32(of.gi)}}, nvml.SUCCESS
		},
		GetMPSComputeRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS },
	}
}

// counters are those of GPM: a sample holds the percent of its GPU instance and which it was.
type counters struct {
	percent map[int]float64 // by GPU instance
	ret     nvml.Return
	live    int // samples that are not freed
	freed   map[*mock.GpmSample]bool
	of      map[*mock.GpmSample]float64
}

// gpm gives a GPU and its machine counters.
func gpm(s *server.Server, gpu *server.Device, c *counters) {
	c.freed, c.of = map[*mock.GpmSample]bool{}, map[*mock.GpmSample]float64{}
	gpu.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) {
		return nvml.GpmSupport{IsSupportedDevice: 1}, nvml.SUCCESS
	}
	s.GpmSampleAllocFunc = func() (nvml.GpmSample, nvml.Return) {
		c.live++
		sample := &mock.GpmSample{}
		sample.FreeFunc = func() nvml.Return {
			if c.freed[sample] {
				panic("a sample was freed twice")
			}
			c.freed[sample] = true
			c.live--
			return nvml.SUCCESS
		}
		return sample, nvml.SUCCESS
	}
	gpu.GpmMigSampleGetFunc = func(gi int, sample nvml.GpmSample) nvml.Return {
		c.of[sample.(*mock.GpmSample)] = c.percent[gi]
		return c.ret
	}
	s.GpmMetricsGetFunc = func(query *nvml.GpmMetricsGetType) nvml.Return {
		older, newer := query.Sample1.(*mock.GpmSample), query.Sample2.(*mock.GpmSample)
		if query.NumMetrics != 1 || query.Metrics[0].MetricId != uint32(nvml.GPM_METRIC_GRAPHICS_UTIL) || older == newer || c.freed[older] || c.freed[newer] {
			return nvml.ERROR_INVALID_ARGUMENT
		}
		query.Metrics[0].Value = c.of[newer]
		return nvml.SUCCESS
	}
}

func TestMIG(t *testing.T) {
	s := dgxa100.New()
	divided(s, instance{7, 0}, instance{9, 0})
	devices := list(t, s)
	if len(devices) != 7+2 {
		t.Fatalf("there are %d devices, want 7 GPUs and 2 MIG devices", len(devices))
	}
	parent := s.Devices[0].(*server.Device).UUID
	want := Info{UUID: "MIG-9-0", Index: 0, Minor: 0, Model: "Mock NVIDIA A100-SXM4-40GB", Parent: parent, MIGProfile: "1g.10gb", GPUInstance: 9, ComputeInstance: 0}
	if got := devices[1].Info(); got != want || !got.MIG() {
		t.Errorf("the second is %+v, want %+v", got, want)
	}
	for _, d := range devices {
		if d.Info().UUID == parent {
			t.Error("the GPU itself is listed")
		}
	}
	d := devices[0]
	if v, err := d.Utilization(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without GPM its utilization is %v, %v, want none", v, err)
	}
	if v, err := d.Power(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("its power is %v, %v, want none", v, err)
	}
	if m, err := d.Memory(); err != nil || m.Used != gib {
		t.Errorf("its memory is %+v, %v", m, err)
	}
	processes, err := d.Processes()
	if err != nil || len(processes) != 1 || processes[0].Memory != gib || processes[0].Utilization == processes[0].Utilization {
		t.Errorf("its processes are %+v, %v, want one whose utilization is not known", processes, err)
	}
}

// TestGPM reads two MIG devices of an H100 whose counters differ, through a failure, and wants every sample freed.
func TestGPM(t *testing.T) {
	s := dgxh100.New()
	c := &counters{percent: map[int]float64{7: 42, 9: 0}}
	gpm(s, divided(s, instance{7, 0}, instance{9, 0}), c)
	devices := list(t, s)[:2]
	read := func(n int) string {
		v, err := devices[n].Utilization()
		if err != nil {
			return reason(err)
		}
		return fmt.Sprint(v)
	}
	for _, step := range []struct {
		name   string
		do     func()
		first  string
		second string
	}{
		{"the first sample compares with nothing", func() {}, "unavailable", "unavailable"},
		{"two samples", func() {}, "0.42", "0"},
		{"the next two", func() { c.percent[7], c.percent[9] = 100, 50 }, "1", "0.5"},
		{"a quotient a little over 100", func() { c.percent[7], c.percent[9] = 100.3, 50 }, "1", "0.5"},
		{"a value that cannot be", func() { c.percent[7] = 4294967295 }, ReasonImplausible, "0.5"},
		{"a failure", func() { c.percent[7], c.ret = 10, nvml.ERROR_GPU_IS_LOST }, ReasonLost, ReasonLost},
		{"after it", func() { c.ret = nvml.SUCCESS }, "unavailable", "unavailable"},
		{"and then", func() {}, "0.1", "0.5"},
	} {
		step.do()
		if a, b := read(0), read(1); a != step.first || b != step.second {
			t.Errorf("%s: the devices read %s and %s, want %s and %s", step.name, a, b, step.first, step.second)
		}
	}
	for _, d := range devices {
		d.Close()
	}
	if c.live != 0 {
		t.Errorf("%d samples were not freed", c.live)
	}
}

// TestSharedInstance wants nothing told of MIG devices that are parts of one GPU instance: what the driver counts there
// is the load of all of them.
func TestSharedInstance(t *testing.T) {
	s := dgxh100.New()
	c := &counters{percent: map[int]float64{7: 42, 9: 10}}
	gpm(s, divided(s, instance{7, 0}, instance{7, 1}, instance{9, 0}), c)
	devices := list(t, s)
	for n, want := range []string{"unavailable", "unavailable", ""} {
		_, _ = devices[n].Utilization() // the first sample compares with nothing
		_, busy := devices[n].Utilization()
		_, memory := devices[n].Memory()
		if reason(busy) != want || reason(memory) != want {
			t.Errorf("device %d: utilization %v, memory %v, want %q", n, busy, memory, want)
		}
	}
}

// TestOldLibraryMIG wants no function to be called that an old library lacks.
func TestOldLibraryMIG(t *testing.T) {
	s := dgxh100.New()
	gpu := divided(s, instance{7, 0})
	gpm(s, gpu, &counters{})
	gpu.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) {
		t.Error("a function that the library lacks was called, which ends the process")
		return nvml.GpmSupport{}, nvml.ERROR_FUNCTION_NOT_FOUND
	}
	s.LookupSymbolFunc = func(name string) error {
		if strings.HasPrefix(name, "nvmlGpm") {
			return errors.New("no " + name)
		}
		return nil
	}
	if _, err := list(t, s)[0].Utilization(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the utilization is %v, want none", err)
	}
}

// TestOldLibrary wants a GPU to be listed by a library from before MIG.
func TestOldLibrary(t *testing.T) {
	s := machine(dgxa100.New())
	s.LookupSymbolFunc = func(name string) error { return errors.New("no " + name) }
	s.Devices[0].(*server.Device).GetMigModeFunc = func() (int, int, nvml.Return) {
		t.Error("a function that the library lacks was called, which ends the process")
		return 0, 0, nvml.ERROR_FUNCTION_NOT_FOUND
	}
	if got := len(list(t, s)); got != 8 {
		t.Errorf("there are %d devices, want 8", got)
	}
}

func TestMIGProfile(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA A100-SXM4-40GB MIG 1g.5gb":        "1g.5gb",
		"NVIDIA H100 80GB HBM3 MIG 1g.10gb+me":    "1g.10gb+me",
		"NVIDIA H100 80GB HBM3 MIG 1c.2g.20gb":    "1c.2g.20gb",
		"NVIDIA A100-SXM4-40GB":                   "",
		"":                                        "",
		"NVIDIA RTX PRO 6000 Blackwell MIG 1g.24": "1g.24",
	} {
		if got := migProfile(name); got != want {
			t.Errorf("the profile of %q is %q, want %q", name, got, want)
		}
	}
}
