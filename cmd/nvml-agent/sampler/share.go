package sampler

import (
	"math"
	"slices"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// share is a pod's part of a device. What is not known is NaN.
type share struct {
	utilization float64 // of its processes, 0-1
	memory      float64 // of its processes, in bytes
}

// most a sum of utilizations may be: each is rounded by the driver.
const rounding = 1.05

// divide divides a device among the pods that hold it, by their processes. A pod is left out if nothing is known of it:
// if it has no process, it is known to use nothing only where every process of the device is seen and is a holder's.
//
// A process that belongs to no holder and computes may do so for one, as the server of MPS does for its clients. Then
// nobody's utilization is known.
func divide(processes []nvml.Process, holders []pods.Holder, of attributor, mig bool, total float64) map[pods.Pod]share {
	shares := map[pods.Pod]share{}
	strays, busy := false, false
	for _, p := range processes {
		pod, ok := of.Pod(p.PID)
		if !ok || !slices.ContainsFunc(holders, func(h pods.Holder) bool { return h.Pod == pod }) {
			strays = true
			busy = busy || p.Utilization != 0 // NaN too
			continue
		}
		s := shares[pod]
		shares[pod] = share{s.utilization + p.Utilization, s.memory + p.Memory}
	}
	if !strays && of.SeeAll() {
		for _, h := range holders {
			if _, ok := shares[h.Pod]; !ok {
				shares[h.Pod] = share{}
			}
		}
	}
	for pod, s := range shares {
		if busy || mig || s.utilization > rounding {
			s.utilization = math.NaN()
		}
		if s.memory > total {
			s.memory = math.NaN()
		}
		shares[pod] = s
	}
	return shares
}
