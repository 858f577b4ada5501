package controller

import "strings"

// GPUs are what the nodes that are ready have: devices and MIG slices alike.
type GPUs struct {
	// Total and Free count only if Known. Free ones are requested by no pod on a node.
	Total, Free int
	Known       bool
}

// gpuResource is how the names of NVIDIA's resources begin.
const gpuResource = "nvidia.com/"

// gpus counts those of the nodes, before anything is promised to pods that have no node yet.
func (l *ledger) gpus() (g GPUs) {
	if l == nil {
		return g
	}
	g.Known = true
	for name, i := range l.base.index {
		if !strings.HasPrefix(string(name), gpuResource) {
			continue
		}
		for r := range l.base.list {
			if at := &l.base.list[r]; at.node.ready {
				g.Total += int(at.node.allocatable[name])
				g.Free += int(max(at.free[i], 0))
			}
		}
	}
	return g
}
