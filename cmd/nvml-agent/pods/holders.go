package pods

import (
	"cmp"
	"slices"
	"strings"

	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"

	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// resources is what the names of NVIDIA's resources begin with: nvidia.com/gpu, nvidia.com/mig-1g.5gb, and what an
// administrator renames them to.
const resources = "nvidia.com/"

// Pod names a pod of this node.
type Pod struct{ Namespace, Name string }

// Holder is a pod that was given a device.
type Holder struct {
	Pod
	// Container is the first of its containers that was given it.
	Container string
}

// Holders are the pods that hold the devices of a node, by the devices' canonical ids.
type Holders map[string][]Holder

// holdersOf reads the kubelet's answer. It also returns the ids that mean no device it knows of.
func holdersOf(answer *podresources.ListPodResourcesResponse) (Holders, []string) {
	holders := Holders{}
	var unknown []string
	for _, pod := range answer.GetPodResources() {
		for _, container := range pod.GetContainers() {
			holder := Holder{Pod{pod.GetNamespace(), pod.GetName()}, container.GetName()}
			for _, devices := range container.GetDevices() {
				if !strings.HasPrefix(devices.GetResourceName(), resources) {
					continue
				}
				for _, id := range devices.GetDeviceIds() {
					if device, ok := canonical(id); ok {
						holders.add(device, holder)
					} else {
						unknown = append(unknown, id)
					}
				}
			}
		}
	}
	return holders, unknown
}

// add notes that a device is held. A pod holds it once, however many of its containers do.
func (h Holders) add(device string, holder Holder) {
	if !slices.ContainsFunc(h[device], func(other Holder) bool { return other.Pod == holder.Pod }) {
		h[device] = append(h[device], holder)
	}
}

// Of returns the pods that hold a device, in the order of their names.
func (h Holders) Of(device nvml.Info) []Holder {
	all := Holders{}
	for _, name := range namesOf(device) {
		for _, holder := range h[name] {
			all.add("", holder)
		}
	}
	slices.SortFunc(all[""], func(a, b Holder) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all[""]
}
