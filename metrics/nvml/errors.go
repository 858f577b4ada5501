package nvml

import "errors"

// ErrUnavailable is wrapped by errors that say: this device, driver or moment has no such number. They are no failure.
var ErrUnavailable = errors.New("not available")

// DefaultLibrary is the name under which the driver's library is looked for.
const DefaultLibrary = "libnvidia-ml.so.1"

// The calls an Error names.
const (
	CallInit        = "init"
	CallList        = "list"
	CallUtilization = "utilization"
	CallMemory      = "memory"
	CallPower       = "power"
	CallProcesses   = "processes"
	CallShutdown    = "shutdown"
)

// The reasons an Error gives beside the library's own, such as gpu_is_lost.
const (
	// ReasonLost is a GPU that is off the bus until it is reset.
	ReasonLost = "gpu_is_lost"
	// ReasonImplausible is a value that cannot be.
	ReasonImplausible = "implausible"
	// ReasonUnknown stands for all that are not listed.
	ReasonUnknown = "unknown"
)

// Error is what went wrong in one of the library's calls.
type Error struct {
	// Call is one of the Call constants.
	Call string
	// Reason is one of few words.
	Reason string
	// Detail is for people.
	Detail string
}

// Error says what went wrong.
func (e *Error) Error() string {
	text := "NVML: " + e.Call + ": " + e.Reason
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// AllErrors returns the Errors that an error wraps or joins.
func AllErrors(err error) []*Error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Error
		for _, one := range joined.Unwrap() {
			all = append(all, AllErrors(one)...)
		}
		return all
	}
	if one, ok := errors.AsType[*Error](err); ok {
		return []*Error{one}
	}
	return nil
}
