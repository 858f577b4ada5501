package fleet

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
)

// driverVersion is what the label DCGM_FI_DRIVER_VERSION says.
const driverVersion = "580.105.08"

// device is what a DCGM exporter knows of one GPU.
type device struct {
	index int
	uuid  string
	// pod is empty if no pod has it; of the pods that share a GPU it is the last.
	pod         types.NamespacedName
	container   string
	holders     []holder
	utilization float64 // percent, or Absent, NaN, Blank
	memoryUsed  float64 // MiB
	energy      float64 // mJ since boot
}

// busy is the share of time the GPU is busy, 0 to 1: 0 while it is not known.
func (d device) busy() float64 {
	if !(d.utilization >= 0 && d.utilization <= 100) {
		return 0
	}
	return d.utilization / 100
}

// active is the profiling counterpart of the utilization: unknown when that is.
func (d device) active() float64 {
	switch {
	case math.IsNaN(d.utilization), d.utilization == Absent:
		return d.utilization
	case d.utilization > 100 || d.utilization < 0:
		return Absent
	}
	return d.utilization / 100
}

// dcgmField is a line of dcgm-exporter's default-counters.csv.
type dcgmField struct {
	name, kind, help string
	// whole fields are integers, the others floats with six digits.
	whole bool
	value func(GPUProduct, device) float64
}

func constant(v float64) func(GPUProduct, device) float64 {
	return func(GPUProduct, device) float64 { return v }
}

// scaled goes linearly from one value on an idle GPU to another on a busy one.
func scaled(idle, busy float64) func(GPUProduct, device) float64 {
	return func(_ GPUProduct, d device) float64 { return idle + (busy-idle)*d.busy() }
}

// power is in watts.
var power = scaled(71.5, 640)

// dcgmFields are the default counters in the order of their field numbers, in which the exporter writes them.
var dcgmFields = []dcgmField{
	{"DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", true, scaled(345, 1980)},
	{"DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", true, constant(2619)},
	{"DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C).", true, scaled(38, 72)},
	{"DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", true, scaled(31, 66)},
	{"DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", false, power},
	{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).", true, func(_ GPUProduct, d device) float64 { return d.energy }},
	{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", true, constant(0)},
	{"DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", true, func(_ GPUProduct, d device) float64 { return d.utilization }},
	{"DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", true, scaled(0, 60)},
	{"DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %).", true, constant(0)},
	{"DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %).", true, constant(0)},
	{xidField, "gauge", "Value of the last XID error encountered.", true, constant(0)},
	{"DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", true, func(p GPUProduct, d device) float64 {
		return max(0, p.Memory-p.Reserved-d.memoryUsed)
	}},
	{"DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", true, func(_ GPUProduct, d device) float64 { return d.memoryUsed }},
	{"DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", true, func(p GPUProduct, _ device) float64 { return p.Reserved }},
	{"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for uncorrectable errors", true, constant(0)},
	{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for correctable errors", true, constant(0)},
	{"DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed", true, constant(0)},
	{"DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "gauge", "Total number of NVLink bandwidth counters for all lanes.", true, constant(0)},
	{"DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU License status", true, constant(0)},
	{"DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active.", false, func(_ GPUProduct, d device) float64 { return d.active() }},
	{"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor (HMMA) pipe is active.", false, scaled(0, 0.35)},
	{"DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active sending or receiving data.", false, scaled(0, 0.55)},
	{"DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "The rate of data transmitted over the PCIe bus - including both protocol headers and data payloads - in bytes per second.", true, scaled(112603, 48e6)},
	{"DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "The rate of data received over the PCIe bus - including both protocol headers and data payloads - in bytes per second.", true, scaled(17544, 65e6)},
}

// xidField carries two labels more than the others.
const xidField = "DCGM_FI_DEV_XID_ERRORS"

// exposeDCGM writes what dcgm-exporter writes for a node. A field that no GPU has is left out with its header.
func exposeDCGM(product GPUProduct, node string, devices []device) []byte {
	var out bytes.Buffer
	for _, field := range dcgmFields {
		header := false
		for _, d := range devices {
			value := field.value(product, d)
			if value == Absent {
				continue
			}
			if !header {
				fmt.Fprintf(&out, "# HELP %[1]s %[2]s\n# TYPE %[1]s %[3]s\n", field.name, field.help, field.kind)
				header = true
			}
			fmt.Fprintf(&out, "%s{%s} %s\n", field.name, dcgmLabels(product, node, d, field.name), dcgmValue(value, field.whole))
		}
	}
	return out.Bytes()
}

// dcgmLabels writes a device's labels in the exporter's order: those of the device, then attributes by name. A GPU that
// no pod has carries none of the pod's labels.
func dcgmLabels(product GPUProduct, node string, d device, field string) string {
	labels := fmt.Sprintf(`gpu="%d",UUID="%s",pci_bus_id="00000000:%02X:00.0",device="nvidia%d",modelName="%s",Hostname="%s",DCGM_FI_DRIVER_VERSION="%s"`,
		d.index, d.uuid, 0x18+d.index*0x11, d.index, product.Name, node, driverVersion)
	mapped := d.pod.Name != ""
	if mapped {
		labels += fmt.Sprintf(`,container="%s"`, d.container)
	}
	if field == xidField {
		labels += `,err_code="0",err_msg="No Error"`
	}
	if mapped {
		labels += fmt.Sprintf(`,namespace="%s",pod="%s"`, d.pod.Namespace, d.pod.Name)
	}
	return labels
}

func dcgmValue(v float64, whole bool) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return strconv.FormatFloat(v, 'g', -1, 64)
	case whole:
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	default:
		return strconv.FormatFloat(v, 'f', 6, 64)
	}
}
