//go:build linux && cgo

package nvml

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"
)

const gib = 1 << 30

// machine is a mock server whose functions that the server leaves unset, and which would panic, are set: idle GPUs,
// none in MIG mode, a recent driver.
func machine(s *server.Server) *server.Server {
	s.ErrorStringFunc = func(r nvml.Return) string { return "mock" }
	for _, d := range s.Devices {
		d := d.(*server.Device)
		d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{}, nvml.SUCCESS }
		d.GetMemoryInfo_v2Func = func() (nvml.Memory_v2, nvml.Return) {
			return nvml.Memory_v2{Total: 80 * gib, Reserved: gib, Used: 8 * gib, Free: 71 * gib}, nvml.SUCCESS
		}
		d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 70_500, nvml.SUCCESS }
		d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.SUCCESS }
		d.GetMPSComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) { return nil, nvml.ERROR_NOT_SUPPORTED }
		d.GetProcessUtilizationFunc = func(uint64) ([]nvml.ProcessUtilizationSample, nvml.Return) { return nil, nvml.ERROR_NOT_FOUND }
	}
	return s
}

// list opens a machine and lists its devices.
func list(t *testing.T, s *server.Server) []Device {
	t.Helper()
	library, err := open(s, "mock")
	if err != nil {
		t.Fatal(err)
	}
	devices, err := library.Devices()
	if err != nil {
		t.Fatal(err)
	}
	return devices
}

// first is the first GPU of a machine, to be changed, and as it is read.
func first(t *testing.T, s *server.Server) (*server.Device, Device) {
	t.Helper()
	return s.Devices[0].(*server.Device), list(t, s)[0]
}

// reason is the word for an error: "" for none, "unavailable", or that of an Error.
func reason(err error) string {
	switch all := AllErrors(err); {
	case err == nil:
		return ""
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case len(all) == 1:
		return all[0].Reason
	}
	return err.Error()
}

func TestDevices(t *testing.T) {
	s := machine(dgxa100.New())
	devices := list(t, s)
	if len(devices) != 8 {
		t.Fatalf("there are %d devices, want 8", len(devices))
	}
	for n, d := range devices {
		want := Info{UUID: s.Devices[n].(*server.Device).UUID, Index: n, Minor: n, Model: "Mock NVIDIA A100-SXM4-40GB", GPUInstance: -1, ComputeInstance: -1}
		if got := d.Info(); got != want || got.MIG() {
			t.Errorf("device %d is %+v, want %+v", n, got, want)
		}
	}
}

// TestDevicesPartly wants those that can be listed, and to be told of the others.
func TestDevicesPartly(t *testing.T) {
	s := machine(dgxa100.New())
	handle := s.DeviceGetHandleByIndexFunc
	s.DeviceGetHandleByIndexFunc = func(index int) (nvml.Device, nvml.Return) {
		if index == 2 {
			return nil, nvml.ERROR_GPU_IS_LOST
		}
		return handle(index)
	}
	s.Devices[5].(*server.Device).GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, nvml.ERROR_TIMEOUT }
	s.Devices[6].(*server.Device).GetMigModeFunc = func() (int, int, nvml.Return) { return 0, 0, nvml.ERROR_NOT_SUPPORTED }
	devices, err := (&library{api: s}).Devices()
	var reasons []string
	for _, e := range AllErrors(err) {
		reasons = append(reasons, e.Call+" "+e.Reason)
	}
	if got := strings.Join(reasons, ", "); len(devices) != 6 || got != "list gpu_is_lost, list timeout" {
		t.Errorf("there are %d devices and the errors %q (%v)", len(devices), got, err)
	}
	s.DeviceGetCountFunc = func() (int, nvml.Return) { return 0, nvml.ERROR_UNINITIALIZED }
	if devices, err := (&library{api: s}).Devices(); devices != nil || reason(err) != "uninitialized" {
		t.Errorf("without a driver there are %v and the error %v", devices, err)
	}
}

func TestUtilization(t *testing.T) {
	for _, c := range []struct {
		percent uint32
		ret     nvml.Return
		want    float64
		reason  string
	}{
		{0, nvml.SUCCESS, 0, ""},
		{42, nvml.SUCCESS, 0.42, ""},
		{100, nvml.SUCCESS, 1, ""},
		{101, nvml.SUCCESS, 0, ReasonImplausible},
		{math.MaxUint32, nvml.SUCCESS, 0, ReasonImplausible},
		{0, nvml.ERROR_NOT_SUPPORTED, 0, "unavailable"},
		{0, nvml.ERROR_GPU_IS_LOST, 0, ReasonLost},
		{0, nvml.ERROR_UNKNOWN, 0, ReasonUnknown},
		{0, nvml.Return(4711), 0, ReasonUnknown},
	} {
		gpu, d := first(t, machine(dgxa100.New()))
		gpu.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: c.percent}, c.ret }
		if got, err := d.Utilization(); got != c.want || reason(err) != c.reason {
			t.Errorf("%d percent, %d: got %v, %v, want %v, %q", c.percent, c.ret, got, err, c.want, c.reason)
		}
	}
}

func TestMemory(t *testing.T) {
	const none = math.MaxUint64
	known := Memory{Total: 80, Used: 8, Reserved: 1, ReservedKnown: true}
	for _, c := range []struct {
		name       string
		v2         nvml.Memory_v2
		ret        nvml.Return
		old        bool // the driver has no second version
		v1         nvml.Memory
		want       Memory
		wantReason string
	}{
		{name: "with what is reserved", v2: nvml.Memory_v2{Total: 80, Reserved: 1, Used: 8}, want: known},
		{name: "an old driver", old: true, v1: nvml.Memory{Total: 80, Used: 9}, want: Memory{Total: 80, Used: 9}},
		{name: "a driver that refuses the version", ret: nvml.ERROR_ARGUMENT_VERSION_MISMATCH, v1: nvml.Memory{Total: 80, Used: 9}, want: Memory{Total: 80, Used: 9}},
		{name: "nothing in use", v2: nvml.Memory_v2{Total: 80}, want: Memory{Total: 80, ReservedKnown: true}},
		{name: "all ones", v2: nvml.Memory_v2{Total: none, Reserved: none, Used: none}, wantReason: ReasonImplausible},
		{name: "used is all ones", v2: nvml.Memory_v2{Total: 80, Used: none}, wantReason: ReasonImplausible},
		{name: "reserved is all ones", v2: nvml.Memory_v2{Total: 80, Used: 8, Reserved: none}, wantReason: ReasonImplausible},
		{name: "zeros", v2: nvml.Memory_v2{}, wantReason: ReasonImplausible},
		{name: "lost", ret: nvml.ERROR_GPU_IS_LOST, v1: nvml.Memory{Total: 80}, wantReason: ReasonLost},
	} {
		s := machine(dgxa100.New())
		gpu, d := first(t, s)
		if c.old {
			s.LookupSymbolFunc = func(name string) error { return errors.New("no " + name) }
		}
		gpu.GetMemoryInfo_v2Func = func() (nvml.Memory_v2, nvml.Return) {
			if c.old {
				t.Error("a function that the library lacks was called, which ends the process")
			}
			return c.v2, c.ret
		}
		gpu.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return c.v1, nvml.SUCCESS }
		if got, err := d.Memory(); got != c.want || reason(err) != c.wantReason {
			t.Errorf("%s: got %+v, %v, want %+v, %q", c.name, got, err, c.want, c.wantReason)
		}
	}
}

func TestPower(t *testing.T) {
	for _, c := range []struct {
		milliwatts uint32
		ret        nvml.Return
		want       float64
		reason     string
	}{
		{70_500, nvml.SUCCESS, 70.5, ""},
		{math.MaxUint32, nvml.SUCCESS, 0, ReasonImplausible},
		{0, nvml.ERROR_NOT_SUPPORTED, 0, "unavailable"},
	} {
		gpu, d := first(t, machine(dgxa100.New()))
		gpu.GetPowerUsageFunc = func() (uint32, nvml.Return) { return c.milliwatts, c.ret }
		if got, err := d.Power(); got != c.want || reason(err) != c.reason {
			t.Errorf("%d mW: got %v, %v", c.milliwatts, got, err)
		}
	}
}

// TestOpen wants each failure to say what to do.
func TestOpen(t *testing.T) {
	if _, err := Open("/nowhere/libnvidia-ml.so.1"); reason(err) != "library_not_found" ||
		!strings.Contains(err.Error(), "/nowhere/libnvidia-ml.so.1") || !strings.Contains(err.Error(), "runtimeClassName: nvidia") {
		t.Errorf("without a library: %v", err)
	}
	s := machine(dgxa100.New())
	s.InitFunc = func() nvml.Return { return nvml.ERROR_DRIVER_NOT_LOADED }
	if _, err := open(s, "x"); reason(err) != "driver_not_loaded" || !strings.Contains(err.Error(), "/dev/nvidiactl") {
		t.Errorf("without a driver: %v", err)
	}
	s.InitFunc = func() nvml.Return { return nvml.ERROR_LIB_RM_VERSION_MISMATCH }
	if _, err := open(s, "x"); reason(err) != "version_mismatch" {
		t.Errorf("with another driver's library: %v", err)
	}
}

func TestClose(t *testing.T) {
	s := machine(dgxh100.New())
	library, err := open(s, "mock")
	if err != nil {
		t.Fatal(err)
	}
	if err := library.Close(); err != nil || len(s.ShutdownCalls()) != 1 {
		t.Errorf("closing: %v, %d calls of shutdown", err, len(s.ShutdownCalls()))
	}
	s.ShutdownFunc = func() nvml.Return { return nvml.ERROR_UNINITIALIZED }
	if err := library.Close(); reason(err) != "uninitialized" {
		t.Errorf("closing twice: %v", err)
	}
}
