//go:build linux && cgo

package nvml

import (
	"errors"
	"math"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// useGap is how far two readings may be apart so that what is new since the first is present use.
const useGap = 5 * time.Second

// Processes lists those that hold memory of the device or have computed on it, each once.
func (d *device) Processes() ([]Process, error) {
	listed, err := d.listed()
	if err != nil {
		return nil, err
	}
	told, err := d.readUse()
	if err != nil {
		return nil, err
	}
	var processes []Process
	at := map[uint32]bool{}
	for _, p := range listed {
		if at[p.Pid] {
			continue // a client of MPS is in both lists
		}
		at[p.Pid] = true
		processes = append(processes, Process{PID: p.Pid, Memory: processMemory(p.UsedGpuMemory), Utilization: d.useOf(p.Pid, told)})
	}
	for pid := range d.use.known {
		if told && !at[pid] {
			processes = append(processes, Process{PID: pid, Memory: math.NaN(), Utilization: d.useOf(pid, told)})
		}
	}
	return processes, nil
}

// listed are the processes with a context on the device, their own and those of clients of MPS.
func (d *device) listed() ([]nvml.ProcessInfo, error) {
	processes, ret := d.handle.GetComputeRunningProcesses()
	if err := check(CallProcesses, ret); err != nil {
		return nil, err
	}
	if !d.library.has("nvmlDeviceGetMPSComputeRunningProcesses") && !d.library.has("nvmlDeviceGetMPSComputeRunningProcesses_v2") {
		return processes, nil
	}
	clients, ret := d.handle.GetMPSComputeRunningProcesses()
	if err := check(CallProcesses, ret); err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, err
	}
	return append(processes, clients...), nil
}

// useOf is the use of one process, NaN where the driver does not tell that of any.
func (d *device) useOf(pid uint32, told bool) float64 {
	if !told {
		return math.NaN()
	}
	return d.use.of(pid)
}

// readUse asks for new samples of the processes' use. It reports whether the driver tells them: of a MIG device it
// does not. NOT_FOUND means that there are none, and so does an empty answer, to which the wrapper adds the
// INSUFFICIENT_SIZE of its own question for the size.
func (d *device) readUse() (told bool, err error) {
	if d.info.MIG() {
		return false, nil
	}
	now := time.Now()
	if now.Sub(d.usedAt) > useGap {
		d.use = use{}
	}
	d.usedAt = now
	answer, ret := d.handle.GetProcessUtilization(d.use.since())
	none := ret == nvml.ERROR_NOT_FOUND || ret == nvml.ERROR_INSUFFICIENT_SIZE && len(answer) == 0
	if err := check(CallProcesses, ret); err != nil && !none {
		if errors.Is(err, ErrUnavailable) {
			return false, nil
		}
		return false, err
	}
	samples := make([]useSample, 0, len(answer))
	for _, s := range answer {
		samples = append(samples, useSample{s.Pid, s.TimeStamp, s.SmUtil})
	}
	d.use.take(samples)
	return d.use.ready(), nil
}
