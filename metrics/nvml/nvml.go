package nvml

// Library is the driver's library, opened and initialised. Its methods may be called from several goroutines; Close
// may not while another call has not returned.
type Library interface {
	// Devices lists what pods can be given: the GPUs, and of a GPU in MIG mode its MIG devices instead of itself. With
	// an error there may be devices all the same: those that could be listed.
	Devices() ([]Device, error)
	// Close ends the use of the library and of its Devices.
	Close() error
}

// Device is a GPU or a MIG device. Each of its methods is for one goroutine at a time, and may block for as long as
// the driver does.
type Device interface {
	// Info is what does not change. It asks nobody.
	Info() Info
	// Utilization is the share of the last period in which the device was busy, 0-1. A MIG device has it by GPM only
	// (Hopper and later), as the mean since the previous call, and therefore from the second call on.
	Utilization() (float64, error)
	// Memory is the device's framebuffer.
	Memory() (Memory, error)
	// Power is in watts. A MIG device has none of its own.
	Power() (float64, error)
	// Processes are those that use the device.
	Processes() ([]Process, error)
	// Close frees what the Device holds. Nothing may be called after it.
	Close()
}

// Info identifies a device. It is comparable.
type Info struct {
	// UUID is GPU-… or MIG-….
	UUID string
	// Index is the driver's number of the GPU, of a MIG device its parent's.
	Index int
	// Minor is N of the GPU's /dev/nvidiaN, of a MIG device its parent's; -1 if it is not known.
	Minor int
	// Model is the GPU's name.
	Model string
	// Parent is the UUID of the GPU that a MIG device is a part of, empty if it is no MIG device.
	Parent string
	// MIGProfile is such as 1g.10gb, empty if it is no MIG device.
	MIGProfile string
	// GPUInstance and ComputeInstance are the numbers of a MIG device, -1 if it is none.
	GPUInstance, ComputeInstance int
}

// MIG reports whether the device is a MIG device.
func (i Info) MIG() bool { return i.Parent != "" }

// Memory is in bytes.
type Memory struct {
	// Total is all there is.
	Total uint64
	// Used is without Reserved where that is known; older drivers count it in.
	Used uint64
	// Reserved is what the driver keeps for itself, if ReservedKnown.
	Reserved      uint64
	ReservedKnown bool
}

// Process uses a device.
type Process struct {
	// PID is its number in the PID namespace that the driver sees the caller in: on the host, with hostPID.
	PID uint32
	// Memory of the device that it uses, in bytes. NaN if the driver does not tell.
	Memory float64
	// Utilization is the share of time its kernels ran, 0-1. NaN if the driver does not tell, as on a MIG device.
	Utilization float64
}
