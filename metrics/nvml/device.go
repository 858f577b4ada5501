//go:build linux && cgo

package nvml

import (
	"fmt"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// device is a GPU or a MIG device.
type device struct {
	library *library
	handle  nvml.Device
	info    Info
	use     use
	usedAt  time.Time // when use was read
	// gpm is nil if it is no MIG device or has no GPM.
	gpm *gpmReader
	// divided is true of a MIG device that shares its GPU instance with others. Then nothing is known of it alone.
	divided bool
}

// Info identifies the device.
func (d *device) Info() Info { return d.info }

// Close frees what the device holds.
func (d *device) Close() {
	if d.gpm != nil {
		d.gpm.close()
	}
}

// Utilization is the share of time the device was busy. The driver refuses to tell it of a MIG device, which is asked
// for by GPM where there is that.
func (d *device) Utilization() (float64, error) {
	if !d.info.MIG() {
		rates, ret := d.handle.GetUtilizationRates()
		if err := check(CallUtilization, ret); err != nil {
			return 0, err
		}
		return fraction(CallUtilization, float64(rates.Gpu))
	}
	if d.gpm == nil {
		return 0, fmt.Errorf("%s: %w: of a MIG device only GPM tells it (Hopper and later), and only where it has its GPU instance to itself", CallUtilization, ErrUnavailable)
	}
	return d.gpm.utilization()
}

// Memory asks for the kind of answer that tells reserved memory apart, and where the driver is too old for it for the
// other.
func (d *device) Memory() (Memory, error) {
	if d.divided {
		return Memory{}, fmt.Errorf("%s: %w: several MIG devices share the memory of one GPU instance", CallMemory, ErrUnavailable)
	}
	if d.library.has("nvmlDeviceGetMemoryInfo_v2") {
		info, ret := d.handle.GetMemoryInfo_v2()
		if ret == nvml.SUCCESS {
			return Memory{Total: info.Total, Used: info.Used, Reserved: info.Reserved, ReservedKnown: true}.plausible()
		}
		if ret != nvml.ERROR_ARGUMENT_VERSION_MISMATCH && ret != nvml.ERROR_NOT_SUPPORTED {
			return Memory{}, check(CallMemory, ret)
		}
	}
	info, ret := d.handle.GetMemoryInfo()
	if err := check(CallMemory, ret); err != nil {
		return Memory{}, err
	}
	return Memory{Total: info.Total, Used: info.Used}.plausible()
}

// Power is what the GPU draws, in watts.
func (d *device) Power() (float64, error) {
	if d.info.MIG() {
		return 0, fmt.Errorf("%s: %w: a MIG device has none of its own", CallPower, ErrUnavailable)
	}
	milliwatts, ret := d.handle.GetPowerUsage()
	if err := check(CallPower, ret); err != nil {
		return 0, err
	}
	return watts(milliwatts)
}
