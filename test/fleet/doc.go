// Package fleet simulates a fleet of GPU nodes on a running API server: nodes with nvidia.com/gpu, a small kubelet that
// takes the pods bound to them through ContainerCreating, Running and Ready with the time that a model takes to load,
// and what such a fleet exposes, letter for letter: the /metrics of one DCGM exporter per node and of one vLLM server
// per pod. In front of them a Gateway may hold requests.
//
// What the pods read is up to a Model for each workload: Fixed values, a Shared load spread over the ready pods, or the
// serving model of simulate's closed loop (Serving).
//
// Pods steer their simulation by annotations of the pod template, see the constants. Addresses are those of a cluster
// (10.244.NODE.n); the servers listen on loopback ports that a Network maps them to. Pods that ask for it have addresses
// on loopback instead, where every process of this machine reaches them as it would in a cluster.
//
// What reads the GPUs of a node itself is there too: the kubelet's pod-resources service (PodResources) and agents
// (AddAgent), which expose the metrics of gpuscaler's nvml-agent or are that program itself (Options.AgentProgram).
package fleet

// Annotations of pods (so of a Deployment's pod template) that this package obeys. They act on running pods too.
const (
	// LoadTime is how long the container runs before it is ready, a Go duration; Options.LoadTime if absent. Once it has
	// loaded the container stays so.
	LoadTime = "fleet.test/load-time"
	// Engine is what serves in the pod: "vllm", "nvml-agent" or "none"; none if absent.
	Engine = "fleet.test/engine"
	// ModelName is the model that a vLLM server says it serves; the workload's name if absent.
	ModelName = "fleet.test/model-name"
	// Crash "true" lets the container exit with 1 some time after each start: CrashLoopBackOff.
	Crash = "fleet.test/crash"
	// CrashAfter is that time, a Go duration; Options.CrashAfter if absent.
	CrashAfter = "fleet.test/crash-after"
	// Waiting is the reason why the container cannot start, such as ImagePullBackOff or CreateContainerConfigError.
	Waiting = "fleet.test/waiting"
	// Unready "true" fails the readiness probe of a container that has loaded.
	Unready = "fleet.test/unready"
	// Address "loopback", obeyed when the pod starts, gives the pod an address of this machine (127.B.NODE.n) on whose
	// container port the engine really listens: http://PODIP:PORT/metrics works from every process. The API server's own
	// proxies refuse such addresses.
	Address = "fleet.test/address"
	// Hostile is how the engine's /metrics does harm, one of the constants HostileX; it behaves if absent.
	Hostile = "fleet.test/hostile"
	// RedirectTo is the URL to which HostileRedirect sends; to itself, again and again, if absent.
	RedirectTo = "fleet.test/redirect-to"
)

// AddressLoopback is the value of the annotation Address.
const AddressLoopback = "loopback"

// Values of the annotation Engine.
const (
	EngineVLLM = "vllm"
	// EngineAgent is what AddAgent starts.
	EngineAgent = "nvml-agent"
	EngineNone  = "none"
)

// Pool is the label of the nodes that are kept for the pods of one pool, and the key of their taint.
const Pool = "fleet.test/pool"

// GPUResource is the resource in which GPUs are requested.
const GPUResource = "nvidia.com/gpu"
