package fleet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	podresourcesv1 "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// KubeletFault is how a node's kubelet answers who has which GPU. DCGM exporters and agents are without pod labels
// unless it answers.
type KubeletFault int32

// Faults of a kubelet.
const (
	// KubeletAnswers is none.
	KubeletAnswers KubeletFault = iota
	// KubeletForgets lists no pods, KubeletFails answers with an error, KubeletHangs not at all.
	KubeletForgets
	KubeletFails
	KubeletHangs
	// KubeletGone takes the socket away.
	KubeletGone
)

// podResources is the kubelet's pod-resources service of a node.
type podResources struct {
	podresourcesv1.UnimplementedPodResourcesListerServer
	node  *node
	fault atomic.Int32

	mu       sync.Mutex
	dir      string // of the socket; empty until somebody asks for it
	server   *grpc.Server
	listener net.Listener
}

// PodResources returns the path of the unix socket, named kubelet.sock in a folder of its own, on which the node's kubelet
// serves the pod-resources API v1. It serves from the first call on, and until the node is removed or the fleet stops.
func (f *Fleet) PodResources(node string) (socket string, err error) {
	n, err := f.node(node)
	if err != nil {
		return "", fmt.Errorf("serving pod resources: %w", err)
	}
	if err := n.kubelet.open(); err != nil {
		return "", fmt.Errorf("serving pod resources of node %s: %w", node, err)
	}
	return n.kubelet.socket(), nil
}

// SetKubeletFault changes how a node's kubelet answers who has which GPU. Calls that hang do so until the fault changes.
func (f *Fleet) SetKubeletFault(node string, fault KubeletFault) error {
	n, err := f.node(node)
	if err != nil {
		return fmt.Errorf("changing a kubelet: %w", err)
	}
	if err := n.kubelet.setFault(fault); err != nil {
		return fmt.Errorf("changing the kubelet of node %s: %w", node, err)
	}
	return nil
}

func (f *Fleet) node(name string) (*node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.nodes[name]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("there is no node %s", name)
}

// answers tells whether those who ask learn the pods.
func (p *podResources) answers() bool { return KubeletFault(p.fault.Load()) == KubeletAnswers }

func (p *podResources) socket() string { return filepath.Join(p.dir, "kubelet.sock") }

func (p *podResources) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "kubelet-")
	if err != nil {
		return err
	}
	p.dir = dir
	return p.serveLocked()
}

// serveLocked serves unless the fault says that there is no socket.
func (p *podResources) serveLocked() error {
	if KubeletFault(p.fault.Load()) == KubeletGone {
		return nil
	}
	listener, err := net.Listen("unix", p.socket())
	if err != nil {
		return err
	}
	p.server, p.listener = grpc.NewServer(), listener
	podresourcesv1.RegisterPodResourcesListerServer(p.server, p)
	go func(server *grpc.Server) { _ = server.Serve(listener) }(p.server)
	return nil
}

// setFault begins anew with every change, which ends calls that hang.
func (p *podResources) setFault(fault KubeletFault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault.Store(int32(fault))
	if p.dir == "" {
		return nil
	}
	p.closeLocked()
	return p.serveLocked()
}

// closeLocked ends the server and takes its socket away. The listener is closed here, because the server does not know of
// it before its goroutine has begun.
func (p *podResources) closeLocked() {
	if p.server != nil {
		_ = p.listener.Close()
		p.server.Stop()
		p.server = nil
	}
}

func (p *podResources) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closeLocked()
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// faulty answers as the fault has it; false if there is none.
func (p *podResources) faulty(ctx context.Context) (bool, error) {
	switch KubeletFault(p.fault.Load()) {
	case KubeletFails:
		return true, status.Error(codes.ResourceExhausted, "rejected by rate limit")
	case KubeletHangs:
		<-ctx.Done()
		return true, ctx.Err()
	case KubeletForgets:
		return true, nil
	default:
		return false, nil
	}
}

// List tells all pods that run on the node, each container with its devices.
func (p *podResources) List(ctx context.Context, _ *podresourcesv1.ListPodResourcesRequest) (*podresourcesv1.ListPodResourcesResponse, error) {
	answer := &podresourcesv1.ListPodResourcesResponse{}
	if faulty, err := p.faulty(ctx); faulty {
		return answer, err
	}
	for _, run := range p.node.admitted() {
		answer.PodResources = append(answer.PodResources, p.node.resources(run))
	}
	return answer, nil
}

// Get tells the devices of one pod.
func (p *podResources) Get(ctx context.Context, request *podresourcesv1.GetPodResourcesRequest) (*podresourcesv1.GetPodResourcesResponse, error) {
	faulty, err := p.faulty(ctx)
	if err != nil {
		return nil, err
	}
	for _, run := range p.node.admitted() {
		if !faulty && run.name.Namespace == request.GetPodNamespace() && run.name.Name == request.GetPodName() {
			return &podresourcesv1.GetPodResourcesResponse{PodResources: p.node.resources(run)}, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "pod %s in namespace %s not found", request.GetPodName(), request.GetPodNamespace())
}

// GetAllocatableResources tells all devices of the node.
func (p *podResources) GetAllocatableResources(ctx context.Context, _ *podresourcesv1.AllocatableResourcesRequest) (*podresourcesv1.AllocatableResourcesResponse, error) {
	answer := &podresourcesv1.AllocatableResourcesResponse{}
	if faulty, err := p.faulty(ctx); faulty {
		return answer, err
	}
	for slot := range p.node.gpus {
		answer.Devices = append(answer.Devices, gpuDevice(p.node.deviceID(slot)))
	}
	return answer, nil
}

// resources tells what the containers of a pod have: each as many of the pod's devices as it asks for, in order.
func (n *node) resources(run *podRun) *podresourcesv1.PodResources {
	run.mu.Lock()
	pod := run.pod
	run.mu.Unlock()
	var ids []string
	for slot, owner := range n.owners() {
		if owner == run {
			ids = append(ids, n.deviceID(slot))
		}
	}
	answer := &podresourcesv1.PodResources{Name: pod.Name, Namespace: pod.Namespace}
	for _, c := range pod.Spec.Containers {
		container := &podresourcesv1.ContainerResources{Name: c.Name}
		wanted := c.Resources.Limits[GPUResource]
		for range min(int(wanted.Value()), len(ids)) {
			container.Devices = append(container.Devices, gpuDevice(ids[0]))
			ids = ids[1:]
		}
		answer.Containers = append(answer.Containers, container)
	}
	return answer
}

// gpuDevice is an entry of its own for each device, as the kubelet writes them.
func gpuDevice(id string) *podresourcesv1.ContainerDevices {
	return &podresourcesv1.ContainerDevices{ResourceName: GPUResource, DeviceIds: []string{id}}
}

// deviceID is what the device plugin calls a slot: the GPU's UUID, of a time-sliced GPU with the slice.
func (n *node) deviceID(slot int) string {
	gpu, slice := n.place(slot)
	id := uuid(n.name, gpu)
	if n.slices > 1 {
		id += "::" + strconv.Itoa(slice)
	}
	return id
}
