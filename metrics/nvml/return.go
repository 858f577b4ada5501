//go:build linux && cgo

package nvml

import (
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// reasons are the words for what the library returns. They are label values, so there are few and they stay.
var reasons = map[nvml.Return]string{
	nvml.ERROR_UNINITIALIZED:           "uninitialized",
	nvml.ERROR_INVALID_ARGUMENT:        "invalid_argument",
	nvml.ERROR_NO_PERMISSION:           "no_permission",
	nvml.ERROR_NOT_FOUND:               "not_found",
	nvml.ERROR_INSUFFICIENT_SIZE:       "insufficient_size",
	nvml.ERROR_INSUFFICIENT_POWER:      "insufficient_power",
	nvml.ERROR_DRIVER_NOT_LOADED:       "driver_not_loaded",
	nvml.ERROR_TIMEOUT:                 "timeout",
	nvml.ERROR_IRQ_ISSUE:               "irq_issue",
	nvml.ERROR_LIBRARY_NOT_FOUND:       "library_not_found",
	nvml.ERROR_GPU_IS_LOST:             ReasonLost,
	nvml.ERROR_RESET_REQUIRED:          "reset_required",
	nvml.ERROR_OPERATING_SYSTEM:        "operating_system",
	nvml.ERROR_LIB_RM_VERSION_MISMATCH: "version_mismatch",
	nvml.ERROR_IN_USE:                  "in_use",
	nvml.ERROR_MEMORY:                  "memory",
	nvml.ERROR_INSUFFICIENT_RESOURCES:  "insufficient_resources",
	nvml.ERROR_NOT_READY:               "not_ready",
	nvml.ERROR_GPU_NOT_FOUND:           "gpu_not_found",
	nvml.ERROR_INVALID_STATE:           "invalid_state",
}

// failure is the Error of what a call returned.
func failure(call string, ret nvml.Return) *Error {
	reason, ok := reasons[ret]
	if !ok {
		reason = ReasonUnknown
	}
	return &Error{Call: call, Reason: reason, Detail: fmt.Sprintf("%v (%d)", ret, int32(ret))}
}

// check turns what a call returned into an error: nil, one that wraps ErrUnavailable, or an *Error.
func check(call string, ret nvml.Return) error {
	switch ret {
	case nvml.SUCCESS:
		return nil
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND, nvml.ERROR_NO_DATA, nvml.ERROR_ARGUMENT_VERSION_MISMATCH:
		return fmt.Errorf("%s: %w: %s", call, ErrUnavailable, ret.String())
	}
	return failure(call, ret)
}
