package pods

import (
	"slices"
	"testing"

	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

const (
	gpuA = "GPU-8a4b2c1d-0000-1111-2222-333344445555"
	gpuB = "GPU-9b5c3d2e-0000-1111-2222-333344445555"
	migA = "MIG-1c2d3e4f-0000-1111-2222-333344445555"
)

// The devices of a node: a GPU, and a MIG device of another.
var (
	whole = nvml.Info{UUID: gpuA, Index: 0, Minor: 3, GPUInstance: -1, ComputeInstance: -1}
	slice = nvml.Info{UUID: migA, Index: 1, Minor: 4, Parent: gpuB, MIGProfile: "1g.10gb", GPUInstance: 7, ComputeInstance: 0}
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		id   string
		want string
		of   nvml.Info
	}{
		{gpuA, gpuA, whole},
		{gpuA + "::0", gpuA, whole},
		{gpuA + "::12", gpuA, whole},
		{migA, migA, slice},
		{migA + "::3", migA, slice},
		{"MIG-" + gpuB + "/7/0", "MIG-" + gpuB + "/7/0", slice},
		{"MIG-" + gpuB + "/7/0::2", "MIG-" + gpuB + "/7/0", slice},
		{"nvidia3", "nvidia3", whole},
		{"nvidia3/vgpu1", "nvidia3", whole},
		{"nvidia4/gi7", "nvidia4/gi7", slice},
		{"nvidia4/gi7/vgpu0", "nvidia4/gi7", slice},
	} {
		got, ok := canonical(c.id)
		if got != c.want || !ok {
			t.Errorf("canonical(%q) is %q, %t, want %q", c.id, got, ok, c.want)
		}
		if !slices.Contains(namesOf(c.of), got) {
			t.Errorf("%q is none of the names %q", got, namesOf(c.of))
		}
		other := whole
		if c.of == whole {
			other = slice
		}
		if slices.Contains(namesOf(other), got) {
			t.Errorf("%q also names %+v", got, other)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, id := range []string{
		"", "GPU", "GPU-", "MIG-", "gpu-0", gpuA + "::", gpuA + "::x", gpuA + "::1::2", gpuA + ":1", gpuA + "/1",
		"nvidia", "nvidia-1", "nvidia03", "nvidia3::1", "nvidia3/", "nvidia3/gi", "nvidia3/gi1/gi2", "nvidia3/vgpu1/gi2", "nvidia3/vgpu1/vgpu2", "nvidia3/gi01",
		"MIG-" + gpuB, "MIG-" + gpuB + "/7", "MIG-" + gpuB + "/7/0/1", "MIG-" + gpuB + "/a/0", "MIG-GPU-/7/0",
		"nvidiactl", "nvidia99999999999", "TPU-0",
	} {
		if got, ok := canonical(id); ok {
			t.Errorf("canonical(%q) is %q, want it refused", id, got)
		}
	}
}

// TestMinorUnknown wants a GPU whose minor number is not known to have no name of GKE's: -1 is nobody's.
func TestMinorUnknown(t *testing.T) {
	d := whole
	d.Minor = -1
	if got := namesOf(d); !slices.Equal(got, []string{gpuA}) {
		t.Errorf("it is called %q", got)
	}
}

// FuzzCanonical wants what is understood to be understood the same again, with and without a replica.
func FuzzCanonical(f *testing.F) {
	for _, id := range []string{gpuA, gpuA + "::1", migA + "::0", "MIG-" + gpuB + "/7/0", "nvidia0", "nvidia0/vgpu1", "nvidia0/gi3", "nvidia0/gi3/vgpu0", "", "::", "nvidia/"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		name, ok := canonical(id)
		if !ok {
			return
		}
		if again, ok := canonical(name); !ok || again != name {
			t.Errorf("%q means %q, and that means %q, %t", id, name, again, ok)
		}
		replica := name + "::1"
		if name[:2] == "nv" {
			replica = name + "/vgpu1"
		}
		if again, ok := canonical(replica); !ok || again != name {
			t.Errorf("%q means %q, %t, want %q", replica, again, ok, name)
		}
	})
}
