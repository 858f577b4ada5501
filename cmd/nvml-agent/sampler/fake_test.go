package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// node is a machine with GPUs, all of whose readings a test can change while it is sampled.
type node struct {
	mu      sync.Mutex
	openErr error
	listErr error
	hangs   chan struct{} // listing does
	lists   int
	stop    func()
	devices []*device
	opened  int
	closed  int

	holders   pods.Holders
	unknown   bool // who holds the devices
	processes processes

	failures map[string]int // by call and reason
}

// device is one of its GPUs.
type device struct {
	n           *node
	info        nvml.Info
	utilization float64
	memory      nvml.Memory
	power       float64
	processes   []nvml.Process
	fail        map[string]error // by call
	hang        map[string]chan struct{}
	calls       map[string]int // by call
	inside      int            // calls that have not returned
	most        int            // most that inside has been
	closed      int
}

// processes are a test's attributor.
type processes struct {
	pods   map[uint32]pods.Pod
	seeAll bool
}

func (p processes) Pod(pid uint32) (pods.Pod, bool) { pod, ok := p.pods[pid]; return pod, ok }
func (p processes) SeeAll() bool                    { return p.seeAll }

// gpu adds a GPU of 100 bytes of memory, 10 of them in use and 5 reserved.
func (n *node) gpu(index int) *device {
	d := &device{
		n:           n,
		info:        nvml.Info{UUID: fmt.Sprintf("GPU-%d", index), Index: index, Minor: index, Model: "H100", GPUInstance: -1, ComputeInstance: -1},
		utilization: 0.5, memory: nvml.Memory{Total: 100, Used: 10, Reserved: 5, ReservedKnown: true}, power: 300,
		fail: map[string]error{}, hang: map[string]chan struct{}{}, calls: map[string]int{},
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.devices = append(n.devices, d)
	return d
}

// set changes something of the node.
func (n *node) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// asked is how often a call of a device was made, and how many calls of it were under way at once at most.
func (d *device) asked(call string) (times, most int) {
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	return d.calls[call], d.most
}

// times is how often the library was opened and closed.
func (n *node) times() (opened, closed int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.opened, n.closed
}

// failed is how often a call failed for a reason.
func (n *node) failed(call, reason string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failures[call+" "+reason]
}

// start samples the node until the test ends.
func (n *node) start(t *testing.T) *Sampler {
	n.failures = map[string]int{}
	s := New(Options{
		Open: n.open,
		Holders: func() (pods.Holders, bool) {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.holders, !n.unknown
		},
		Processes: n,
		Failed:    func(call, reason string) { n.set(func() { n.failures[call+" "+reason]++ }) },
		Log:       logr.Discard(),
	})
	ctx, stop := context.WithCancel(t.Context())
	n.stop = stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		n.set(func() {
			for _, d := range n.devices {
				d.release()
			}
		})
		<-done
		synctest.Wait()
	})
	return s
}

// Pod and SeeAll have a test change who the processes are of.
func (n *node) Pod(pid uint32) (pods.Pod, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.processes.Pod(pid)
}

func (n *node) SeeAll() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.processes.SeeAll()
}

func (n *node) open() (nvml.Library, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.openErr != nil {
		return nil, n.openErr
	}
	n.opened++
	return n, nil
}

func (n *node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed++
	for _, d := range n.devices {
		if d.inside > 0 {
			return errors.New("closed while a call is inside")
		}
	}
	return nil
}

func (n *node) Devices() ([]nvml.Device, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lists++
	if hangs := n.hangs; hangs != nil {
		n.mu.Unlock()
		<-hangs
		n.mu.Lock()
	}
	var all []nvml.Device
	for _, d := range n.devices {
		if d.fail[nvml.CallList] == nil {
			all = append(all, d)
		}
	}
	return all, n.listErr
}

// release lets what hangs return.
func (d *device) release() {
	for call, hanging := range d.hang {
		close(hanging)
		delete(d.hang, call)
	}
}

// called is what every call of a device does: count, hang, fail.
func (d *device) called(call string) error {
	d.n.mu.Lock()
	d.calls[call]++
	d.inside++
	d.most = max(d.most, d.inside)
	hanging, err := d.hang[call], d.fail[call]
	d.n.mu.Unlock()
	if hanging != nil {
		<-hanging
	}
	d.n.set(func() { d.inside-- })
	return err
}

func (d *device) Info() nvml.Info { return d.info }
func (d *device) Close()          { d.n.set(func() { d.closed++ }) }

func (d *device) Utilization() (float64, error) {
	err := d.called(nvml.CallUtilization)
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	return d.utilization, err
}

func (d *device) Memory() (nvml.Memory, error) {
	err := d.called(nvml.CallMemory)
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	return d.memory, err
}

func (d *device) Power() (float64, error) {
	err := d.called(nvml.CallPower)
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	return d.power, err
}

func (d *device) Processes() ([]nvml.Process, error) {
	err := d.called(nvml.CallProcesses)
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	return d.processes, err
}

// lostGPU is what calls of a lost GPU return.
func lostGPU(call string) error { return &nvml.Error{Call: call, Reason: nvml.ReasonLost} }

// wait lets time pass, and everybody do what they do at its end.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// utilizations are those of the windows of the only series that a filter lets through; nil if there is none.
func utilizations(t *testing.T, s *Sampler, uuid, pod string) []float64 {
	t.Helper()
	one := find(t, s, uuid, pod)
	if one == nil {
		return nil
	}
	return []float64{one.Means[0].Utilization, one.Means[1].Utilization, one.Means[2].Utilization}
}

// find returns the series of a device and pod, nil if there is none.
func find(t *testing.T, s *Sampler, uuid, pod string) *Series {
	t.Helper()
	var found *Series
	for _, one := range s.Series() {
		if one.Info.UUID == uuid && one.Holder.Name == pod {
			if found != nil {
				t.Fatalf("%s of pod %q has two series", uuid, pod)
			}
			found = &one
		}
	}
	return found
}

// same compares numbers of which some may be NaN.
func same(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for n := range a {
		if math.Abs(a[n]-b[n]) > 1e-9 || math.IsNaN(a[n]) != math.IsNaN(b[n]) {
			return false
		}
	}
	return true
}
