// Package doctor judges whether the way from the GPUs to the replicas of a Deployment works: rights, Prometheus, series, labels, ages,
// GPUs, and whoever else has a hand in it. It gathers Facts and makes Findings of them; that part asks nobody and reads no clock.
package doctor

// Severity says how bad a Finding is.
type Severity string

// The severities. OK says that a check was made and is well, Info that there is something to know; neither asks for anything to be done.
// With a Warning it works, though likely not as was meant; with an Error it does not work.
const (
	OK      Severity = "ok"
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Check names what was checked. The names are stable: documentation and scripts refer to them.
type Check string

// The checks, in the order of their output.
const (
	APIServer     Check = "api-server"
	ReadRights    Check = "read-rights"
	WriteRights   Check = "write-rights"
	APIClock      Check = "api-clock"
	Targets       Check = "targets"
	Prometheus    Check = "prometheus"
	PromClock     Check = "prometheus-clock"
	DCGMInterval  Check = "dcgm-interval"
	Series        Check = "series"
	Labels        Check = "labels"
	Values        Check = "values"
	Annotations   Check = "annotations"
	Samples       Check = "samples"
	SampleAge     Check = "sample-age"
	CustomQuery   Check = "query"
	Scrape        Check = "scrape"
	NVMLAgents    Check = "nvml-agents"
	SharedGPUs    Check = "shared-gpus"
	MIG           Check = "mig"
	FlatSignal    Check = "flat-signal"
	FollowsLoad   Check = "follows-load"
	GPUs          Check = "gpus"
	Quota         Check = "quota"
	LimitRange    Check = "limit-range"
	OtherScalers  Check = "other-autoscalers"
	ReplicasOwner Check = "replicas-owner"
	NotChecked    Check = "not-checked"
)

// part is where in the output a Finding stands.
type part int

const (
	clusterPart part = iota
	prometheusPart
	workloadPart
)

// Finding is one thing to say.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    Check    `json:"check"`
	// Namespace and Name are the workload's, empty if the Finding is about the cluster or Prometheus.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Signal is the one that it is about, empty if it is about none.
	Signal  string `json:"signal"`
	Message string `json:"message"`
	// Advice says what to do about it, empty if there is nothing to do.
	Advice string `json:"advice"`

	part part
}

// Report is what is printed as JSON and YAML.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Count returns how many Findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == s {
			n++
		}
	}
	return n
}

// findings collects Findings about one place.
type findings struct {
	part            part
	namespace, name string
	list            []Finding
}

// add adds one.
func (f *findings) add(s Severity, check Check, signal, message, advice string) {
	f.list = append(f.list, Finding{s, check, f.namespace, f.name, signal, message, advice, f.part})
}
