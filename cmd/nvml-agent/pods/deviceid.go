package pods

import (
	"strconv"
	"strings"

	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// canonical returns which device an id of a device plugin means, in one of the forms of namesOf. A part of a device
// that is shared (time slicing, MPS) means the device. It is false for what no plugin of NVIDIA's or of GKE's writes.
//
//	GPU-uuid, GPU-uuid::N          a GPU, and replica N of it
//	MIG-uuid, MIG-uuid::N          a MIG device
//	MIG-GPU-uuid/GI/CI[::N]        a MIG device as drivers before 470 named it
//	nvidiaN, nvidiaN/vgpuM         GKE: the GPU of /dev/nvidiaN
//	nvidiaN/giG[/vgpuM]            GKE: GPU instance G of it
func canonical(id string) (string, bool) {
	id, replica, replicated := strings.Cut(id, "::")
	if replicated && !number(replica) {
		return "", false
	}
	if minor, ok := strings.CutPrefix(id, "nvidia"); ok {
		return gke(minor, replicated)
	}
	if old, ok := strings.CutPrefix(id, "MIG-GPU-"); ok {
		parts := strings.Split(old, "/")
		return id, len(parts) == 3 && name(parts[0]) && number(parts[1]) && number(parts[2])
	}
	kind, uuid, _ := strings.Cut(id, "-")
	return id, (kind == "GPU" || kind == "MIG") && name(uuid)
}

// gke reads what follows nvidia in an id of GKE's device plugin.
func gke(rest string, replicated bool) (string, bool) {
	parts := strings.Split(rest, "/")
	if last := len(parts) - 1; last > 0 && numbered(parts[last], "vgpu") {
		parts = parts[:last]
	}
	if replicated || !number(parts[0]) {
		return "", false
	}
	switch {
	case len(parts) == 1:
		return "nvidia" + parts[0], true
	case len(parts) == 2 && numbered(parts[1], "gi"):
		return "nvidia" + parts[0] + "/" + parts[1], true
	}
	return "", false
}

// numbered reports whether a text is a prefix and a number.
func numbered(text, prefix string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	return ok && number(rest)
}

// number reports whether a text is a number as a plugin writes it.
func number(text string) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	return err == nil && strconv.FormatUint(n, 10) == text
}

// name reports whether a text can be a UUID.
func name(text string) bool {
	return text != "" && strings.Trim(text, "0123456789abcdefABCDEF-") == ""
}

// namesOf returns what a device can be called in canonical ids.
func namesOf(d nvml.Info) []string {
	names := []string{d.UUID}
	if d.MIG() {
		names = append(names, "MIG-"+d.Parent+"/"+strconv.Itoa(d.GPUInstance)+"/"+strconv.Itoa(d.ComputeInstance))
	}
	if d.Minor < 0 {
		return names
	}
	gpu := "nvidia" + strconv.Itoa(d.Minor)
	if d.MIG() {
		gpu += "/gi" + strconv.Itoa(d.GPUInstance)
	}
	return append(names, gpu)
}
