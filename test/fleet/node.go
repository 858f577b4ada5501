package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// GPUProduct is a kind of GPU.
type GPUProduct struct {
	// Name is what the driver calls it.
	Name string
	// Memory is its framebuffer and Reserved what the driver keeps of it, in MiB.
	Memory, Reserved float64
}

// H100 is an NVIDIA H100.
var H100 = GPUProduct{Name: "NVIDIA H100 80GB HBM3", Memory: 81559, Reserved: 551}

// firstPodIP leaves room for the addresses of a node's own servers.
const firstPodIP = 10

// maxNodes is how many nodes may ever be added: each has the addresses 10.244.N.0/24.
const maxNodes = 250

// node is a simulated GPU node.
type node struct {
	name     string
	pool     string       // empty if it is for all
	index    int          // the third byte of its addresses
	block    int          // the second byte of its loopback addresses
	devices  int          // GPUs
	slices   int          // pods that may have one GPU at a time
	pids     atomic.Int32 // processes ever started
	exporter *exporter
	kubelet  podResources

	mu    sync.Mutex
	gpus  []*podRun          // by slot, see place; nil where it is free
	ips   map[string]*podRun // in use
	after int                // last byte of the address given last
}

// AddNode makes a Ready node with GPUs, starts its DCGM exporter and plays its kubelet.
func (f *Fleet) AddNode(ctx context.Context, name string, gpus int) error {
	return f.AddPoolNode(ctx, "", name, gpus)
}

// AddPoolNode is AddNode for a node that takes only the pods of a pool, see DeploymentBuilder.Pool; with the empty pool
// it takes all.
func (f *Fleet) AddPoolNode(ctx context.Context, pool, name string, gpus int) error {
	return f.addNode(ctx, &node{pool: pool, name: name, devices: gpus, slices: 1})
}

// AddSlicedNode is AddNode for a node whose GPUs are time-sliced: each stands for as many nvidia.com/gpu as there are
// slices, and as many pods may share it. Pods are spread over the GPUs.
func (f *Fleet) AddSlicedNode(ctx context.Context, name string, gpus, slices int) error {
	return f.addNode(ctx, &node{name: name, devices: gpus, slices: slices})
}

func (f *Fleet) addNode(ctx context.Context, n *node) error {
	name := n.name
	if err := f.start(n); err != nil {
		return fmt.Errorf("adding node %s: %w", name, err)
	}
	// It is known before it exists: the scheduler may bind a pod to it at once.
	if _, err := f.client.CoreV1().Nodes().Create(ctx, f.nodeObject(n), metav1.CreateOptions{}); err != nil {
		n.stop()
		f.mu.Lock()
		delete(f.nodes, name)
		f.mu.Unlock()
		return fmt.Errorf("adding node %s: %w", name, err)
	}
	f.publish()
	return nil
}

// start gives a node its addresses and starts what runs on it.
func (f *Fleet) start(n *node) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes[n.name] != nil {
		return errors.New("it exists")
	}
	if n.devices < 0 || n.slices < 1 {
		return fmt.Errorf("%d GPUs in %d slices, want 0 or more in 1 or more", n.devices, n.slices)
	}
	if f.made == maxNodes {
		return fmt.Errorf("%d were added, there are no addresses for more", maxNodes)
	}
	f.made++
	n.index, n.block = f.made, f.block
	n.gpus, n.ips, n.after = make([]*podRun, n.devices*n.slices), map[string]*podRun{}, firstPodIP-1
	n.kubelet.node = n
	var err error
	if n.exporter, err = f.startExporter(n); err != nil {
		return err
	}
	f.nodes[n.name] = n
	return nil
}

// stop ends what runs on the node.
func (n *node) stop() {
	n.exporter.stop()
	n.kubelet.stop()
}

// AddNodes makes n nodes named gpu-0, gpu-1 and so on.
func (f *Fleet) AddNodes(ctx context.Context, n, gpus int) error {
	for i := range n {
		if err := f.AddNode(ctx, fmt.Sprintf("gpu-%d", i), gpus); err != nil {
			return err
		}
	}
	return nil
}

// RemoveNode takes a node away with its pods, as a cloud does that reclaims a machine.
func (f *Fleet) RemoveNode(ctx context.Context, name string) error {
	f.mu.Lock()
	n := f.nodes[name]
	delete(f.nodes, name)
	var runs []*podRun
	for _, run := range f.pods {
		if run.node == n {
			runs = append(runs, run)
		}
	}
	f.mu.Unlock()
	if n == nil {
		return fmt.Errorf("removing node %s: there is no such node", name)
	}
	n.stop()
	f.publish()
	if err := f.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing node %s: %w", name, err)
	}
	for _, run := range runs {
		run.cancel()
		if err := f.deletePod(ctx, run.name, run.uid); err != nil {
			return fmt.Errorf("removing node %s: %w", name, err)
		}
	}
	return nil
}

// deletePod deletes a pod for good, if it is still the same.
func (f *Fleet) deletePod(ctx context.Context, name types.NamespacedName, uid types.UID) error {
	now := int64(0)
	err := f.client.CoreV1().Pods(name.Namespace).Delete(ctx, name.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (f *Fleet) nodeObject(n *node) *corev1.Node {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("128"), corev1.ResourceMemory: resource.MustParse("2Ti"),
		corev1.ResourcePods: resource.MustParse("110"),
		GPUResource:         *resource.NewQuantity(int64(len(n.gpus)), resource.DecimalSI),
	}
	labels := map[string]string{
		corev1.LabelHostname: n.name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		"nvidia.com/gpu.present": "true",
	}
	var taints []corev1.Taint
	if n.pool != "" {
		labels[Pool] = n.pool
		taints = []corev1.Taint{{Key: Pool, Value: n.pool, Effect: corev1.TaintEffectNoSchedule}}
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: taints},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: capacity,
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
				Message: "kubelet is posting ready status", LastTransitionTime: metav1.Now(), LastHeartbeatTime: metav1.Now(),
			}},
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: n.ip()}, {Type: corev1.NodeHostName, Address: n.name},
			},
			NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.37.2", OperatingSystem: "linux", Architecture: "amd64"},
		},
	}
}

// ip is the node's own address.
func (n *node) ip() string { return fmt.Sprintf("10.0.0.%d", n.index) }

// exporterIP is the address of the DCGM exporter's pod.
func (n *node) exporterIP() string { return fmt.Sprintf("10.244.%d.2", n.index) }

// place says which GPU of the node a slot is on, and which of the GPU's slices it is. Slots go round the GPUs.
func (n *node) place(slot int) (gpu, slice int) { return slot % n.devices, slot / n.devices }

// admit gives a pod an address and its GPUs; false if they are not free yet, because the pod that had them is still on
// its way out.
func (n *node) admit(run *podRun) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	free := make([]int, 0, len(n.gpus))
	for i, owner := range n.gpus {
		if owner == nil {
			free = append(free, i)
		}
	}
	if len(free) < run.wantGPUs {
		return false
	}
	ip, ok := n.freeIPLocked(run.loopback)
	if !ok {
		return false
	}
	n.ips[ip] = run
	run.ip = ip
	for _, i := range free[:run.wantGPUs] {
		n.gpus[i] = run
	}
	return true
}

// freeIPLocked goes round: an address is not used again at once.
func (n *node) freeIPLocked(loopback bool) (string, bool) {
	prefix := "10.244"
	if loopback {
		prefix = fmt.Sprintf("127.%d", n.block)
	}
	for range 256 - firstPodIP {
		n.after++
		if n.after > 254 {
			n.after = firstPodIP
		}
		if ip := fmt.Sprintf("%s.%d.%d", prefix, n.index, n.after); n.ips[ip] == nil {
			return ip, true
		}
	}
	return "", false
}

// release takes back what admit gave.
func (n *node) release(run *podRun) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ips, run.ip)
	for i, owner := range n.gpus {
		if owner == run {
			n.gpus[i] = nil
		}
	}
}

// owners returns the pod of each slot, nil where it is free.
func (n *node) owners() []*podRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*podRun(nil), n.gpus...)
}

// admitted returns the pods that run on the node, in the order of their names.
func (n *node) admitted() []*podRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	runs := slices.Collect(maps.Values(n.ips))
	slices.SortFunc(runs, func(a, b *podRun) int { return cmp.Compare(a.name.String(), b.name.String()) })
	return runs
}
