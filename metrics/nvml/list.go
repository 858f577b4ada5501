//go:build linux && cgo

package nvml

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Devices lists the GPUs and MIG devices.
func (l *library) Devices() ([]Device, error) {
	count, ret := l.api.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, failure(CallList, ret)
	}
	var devices []Device
	var problems []error
	for index := range count {
		found, err := l.gpu(index)
		devices = append(devices, found...)
		if err != nil {
			problems = append(problems, fmt.Errorf("GPU %d: %w", index, err))
		}
	}
	return devices, errors.Join(problems...)
}

// gpu lists the GPU of an index, or its MIG devices.
func (l *library) gpu(index int) ([]Device, error) {
	handle, ret := l.api.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		return nil, failure(CallList, ret)
	}
	info := Info{Index: index, Minor: -1, GPUInstance: -1, ComputeInstance: -1}
	if info.UUID, ret = handle.GetUUID(); ret != nvml.SUCCESS {
		return nil, failure(CallList, ret)
	}
	if info.Model, ret = handle.GetName(); ret != nvml.SUCCESS {
		return nil, failure(CallList, ret)
	}
	if minor, ret := handle.GetMinorNumber(); ret == nvml.SUCCESS {
		info.Minor = minor
	}
	mig, err := l.migMode(handle)
	if err != nil {
		return nil, err
	}
	if mig {
		return l.migDevices(handle, info)
	}
	return []Device{&device{library: l, handle: handle, info: info}}, nil
}

// migMode reports whether a GPU is in MIG mode. Most cannot be. A failure is none to be ignored: such a GPU would be
// listed as a whole, with readings that the driver refuses or sums up over its MIG devices.
func (l *library) migMode(handle nvml.Device) (bool, error) {
	if !l.has("nvmlDeviceGetMigMode") {
		return false, nil // before driver 450
	}
	current, _, ret := handle.GetMigMode()
	switch err := check(CallList, ret); {
	case errors.Is(err, ErrUnavailable):
		return false, nil
	case err != nil:
		return false, err
	}
	return current == nvml.DEVICE_MIG_ENABLE, nil
}

// migDevices lists the MIG devices of a GPU.
func (l *library) migDevices(parent nvml.Device, of Info) ([]Device, error) {
	count, ret := parent.GetMaxMigDeviceCount()
	if ret != nvml.SUCCESS {
		return nil, failure(CallList, ret)
	}
	var devices []*device
	for n := range count {
		handle, ret := parent.GetMigDeviceHandleByIndex(n)
		if ret == nvml.ERROR_NOT_FOUND || ret == nvml.ERROR_INVALID_ARGUMENT {
			continue // there are fewer than there could be
		}
		if ret != nvml.SUCCESS {
			return nil, failure(CallList, ret)
		}
		info, err := migInfo(handle, of)
		if err != nil {
			return nil, err
		}
		devices = append(devices, &device{library: l, handle: handle, info: info})
	}
	return l.measured(parent, devices), nil
}

// measured says how the MIG devices of a GPU are measured. What the driver counts it counts per GPU instance: several
// compute instances in one would each show the load of all.
func (l *library) measured(parent nvml.Device, devices []*device) []Device {
	within := map[int]int{}
	for _, d := range devices {
		within[d.info.GPUInstance]++
	}
	gpm := l.gpmSupported(parent)
	all := make([]Device, len(devices))
	for n, d := range devices {
		d.divided = within[d.info.GPUInstance] > 1
		if gpm && !d.divided {
			d.gpm = &gpmReader{api: l.api, parent: parent, instance: d.info.GPUInstance}
		}
		all[n] = d
	}
	return all
}

// migInfo identifies a MIG device of a GPU.
func migInfo(handle nvml.Device, of Info) (Info, error) {
	info := of
	info.Parent = of.UUID
	var ret nvml.Return
	if info.UUID, ret = handle.GetUUID(); ret != nvml.SUCCESS {
		return Info{}, failure(CallList, ret)
	}
	if info.GPUInstance, ret = handle.GetGpuInstanceId(); ret != nvml.SUCCESS {
		return Info{}, failure(CallList, ret)
	}
	if info.ComputeInstance, ret = handle.GetComputeInstanceId(); ret != nvml.SUCCESS {
		return Info{}, failure(CallList, ret)
	}
	if name, ret := handle.GetName(); ret == nvml.SUCCESS {
		info.MIGProfile = migProfile(name)
	}
	if info.MIGProfile == "" {
		info.MIGProfile = "unknown"
	}
	return info, nil
}
