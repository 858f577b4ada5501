package fleet

import (
	"crypto/md5" //nolint:gosec // it makes names, it protects nothing
	"fmt"
)

// holder is a pod that has a GPU or a slice of it, with what it uses of it.
type holder struct {
	run         *podRun
	utilization float64 // percent, or Absent, NaN, Blank
	memoryUsed  float64 // MiB
}

// devices returns what the driver sees of each GPU of a node, and the pods only if the kubelet tells them.
func (f *Fleet) devices(n *node) []device {
	devices := make([]device, n.devices)
	for i := range devices {
		devices[i] = device{index: i, uuid: uuid(n.name, i)}
	}
	mapped := n.kubelet.answers()
	seen := map[*podRun]int{}
	loads := map[*podRun]PodLoad{}
	for slot, owner := range n.owners() {
		if owner == nil {
			continue
		}
		if _, ok := loads[owner]; !ok {
			loads[owner] = f.load(owner)
		}
		gpu := loads[owner].GPU
		i, _ := n.place(slot)
		devices[i].use(holder{run: owner, utilization: gpu.utilization(seen[owner]), memoryUsed: gpu.MemoryUsed})
		seen[owner]++
		if mapped {
			devices[i].pod, devices[i].container = owner.name, owner.container
		}
	}
	return devices
}

// use adds what a pod uses of the GPU.
func (d *device) use(h holder) {
	d.utilization = together(d.utilization, h.utilization)
	d.memoryUsed += h.memoryUsed
	for i := range d.holders {
		if other := &d.holders[i]; other.run == h.run { // it has several slices
			other.utilization = together(other.utilization, h.utilization)
			other.memoryUsed += h.memoryUsed
			return
		}
	}
	d.holders = append(d.holders, h)
}

// together adds two shares of a GPU in percent. If one is no such number, neither is the sum.
func together(a, b float64) float64 {
	switch {
	case !(0 <= a && a <= 100):
		return a
	case !(0 <= b && b <= 100):
		return b
	}
	return min(100, a+b)
}

// uuid is the same for the same GPU in every run.
func uuid(node string, index int) string {
	h := md5.Sum(fmt.Appendf(nil, "%s/%d", node, index)) //nolint:gosec // see above
	return fmt.Sprintf("GPU-%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:])
}
