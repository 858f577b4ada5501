//go:build linux && cgo

package nvml

import (
	"fmt"
	"math"
	"strings"
)

// most a device can draw, in milliwatts. The largest that are sold draw a tenth of it.
const maxMilliwatts = 20_000_000

// fraction turns percent into 0-1. The driver's "I do not know" is all ones, far above 100.
func fraction(call string, percent float64) (float64, error) {
	if !(0 <= percent && percent <= 100) {
		return 0, &Error{Call: call, Reason: ReasonImplausible, Detail: fmt.Sprintf("%v percent", percent)}
	}
	return percent / 100, nil
}

// plausible returns memory that can be. A total of 0 or of all ones is none.
func (m Memory) plausible() (Memory, error) {
	if m.Total == 0 || m.Total > 1<<50 || m.Used > m.Total || m.ReservedKnown && m.Reserved > m.Total-m.Used {
		return Memory{}, &Error{
			Call: CallMemory, Reason: ReasonImplausible,
			Detail: fmt.Sprintf("%d bytes used and %d reserved of %d", m.Used, m.Reserved, m.Total),
		}
	}
	return m, nil
}

// watts turns milliwatts into watts.
func watts(milliwatts uint32) (float64, error) {
	if milliwatts > maxMilliwatts {
		return 0, &Error{Call: CallPower, Reason: ReasonImplausible, Detail: fmt.Sprintf("%d mW", milliwatts)}
	}
	return float64(milliwatts) / 1000, nil
}

// processMemory is the memory of a process, NaN if the driver does not tell (all ones) or tells what cannot be.
func processMemory(bytes uint64) float64 {
	if bytes > 1<<50 {
		return math.NaN()
	}
	return float64(bytes)
}

// migProfile takes the profile from a MIG device's name: "NVIDIA A100-SXM4-40GB MIG 1g.5gb". Empty if there is none.
func migProfile(name string) string {
	_, profile, _ := strings.Cut(name, " MIG ")
	return strings.TrimSpace(profile)
}
