package nvml

// The metrics that the agent (cmd/nvml-agent) writes of what this package reads. Package metrics and Prometheus know
// them by these names.
const (
	// MetricUtilization is a ratio 0-1; with LabelWindow. Absent where it is not known.
	MetricUtilization = "gpuscaler_nvml_gpu_utilization_ratio"
	// MetricMemoryUsed is in bytes, without what the driver reserves; with LabelWindow.
	MetricMemoryUsed = "gpuscaler_nvml_memory_used_bytes"
	// MetricMemoryTotal is in bytes, with what the driver reserves.
	MetricMemoryTotal = "gpuscaler_nvml_memory_total_bytes"
	// MetricMemoryReserved is in bytes. Absent if the driver does not tell.
	MetricMemoryReserved = "gpuscaler_nvml_memory_reserved_bytes"
	// MetricPower is in watts; with LabelWindow.
	MetricPower = "gpuscaler_nvml_power_watts"
	// MetricSampleTime is the Unix time of the newest sample by the agent's clock.
	MetricSampleTime = "gpuscaler_nvml_sample_timestamp_seconds"
	// MetricTime is the agent's clock at the reply: a sample's age is the difference. It has no labels.
	MetricTime = "gpuscaler_nvml_time_seconds"
	// MetricUp is 1 while the library is loaded and initialised, else 0. It has no labels.
	MetricUp = "gpuscaler_nvml_up"
	// MetricErrors counts failures by LabelCall and LabelError.
	MetricErrors = "gpuscaler_nvml_errors_total"
)

// The labels of the series of a device, see DeviceLabels.
const (
	LabelUUID       = "uuid"        // GPU-… or MIG-…
	LabelIndex      = "index"       // of a MIG device its parent's
	LabelModel      = "model"       // such as NVIDIA H100 80GB HBM3
	LabelMIGProfile = "mig_profile" // such as 1g.10gb; empty if it is no MIG device
	LabelNamespace  = "namespace"   // this and the next two: empty if no pod holds the device, or several do
	LabelPod        = "pod"
	LabelContainer  = "container"
)

// Further labels.
const (
	LabelWindow = "window" // one of Windows
	LabelCall   = "call"
	LabelError  = "error"
)

// DeviceLabels are the labels of every series of a device.
func DeviceLabels() []string {
	return []string{LabelUUID, LabelIndex, LabelModel, LabelMIGProfile, LabelNamespace, LabelPod, LabelContainer}
}

// Windows are the values of LabelWindow: over how long the value is a mean.
func Windows() []string { return []string{"1s", "5s", "15s"} }
