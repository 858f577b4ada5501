package fleet

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// enginePort is where engines listen unless the pod names a port: vLLM's default.
const enginePort = 8000

// firstPID is beyond those of a machine's own processes.
const firstPID = 100_000

// maxBackOff is how often the pause between two restarts doubles.
const maxBackOff = 3

// podRun is one pod on one of our nodes.
type podRun struct {
	fleet    *Fleet
	node     *node
	name     types.NamespacedName
	uid      types.UID
	pid      int // of its one process, on its node
	workload types.NamespacedName
	created  time.Time
	wantGPUs int
	// container is the name of the container that has the GPUs.
	container string
	// loopback asks for an address of this machine.
	loopback bool
	ip       string
	engine   *engine

	ctx    context.Context
	cancel context.CancelFunc
	// changed holds a token when pod is newer than what the run has seen.
	changed chan struct{}

	mu      sync.Mutex
	pod     *corev1.Pod
	ready   bool
	loaded  bool
	started time.Time
	// exits counts how often the container has failed, restarts how often it was started again; failed is the last failure.
	exits, restarts int32
	failed          corev1.ContainerState
}

func newPodRun(f *Fleet, n *node, pod *corev1.Pod) *podRun {
	r := &podRun{
		fleet: f, node: n, name: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, uid: pod.UID,
		workload: workloadOf(pod), created: pod.CreationTimestamp.Time, pod: pod, changed: make(chan struct{}, 1),
		started: time.Now(),
	}
	r.pid = firstPID + int(n.pids.Add(1))
	r.wantGPUs, r.container = gpusOf(pod)
	switch where := pod.Annotations[Address]; where {
	case AddressLoopback:
		r.loopback = true
	case "":
	default:
		f.opts.Log("pod %s: annotation %s is %q, want %s or nothing", r.name, Address, where, AddressLoopback)
	}
	r.ctx, r.cancel = context.WithCancel(f.ctx)
	return r
}

func (r *podRun) set(pod *corev1.Pod) {
	r.mu.Lock()
	r.pod = pod
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// annotation reads one of the pod as it is now.
func (r *podRun) annotation(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pod.Annotations[key]
}

func (r *podRun) isReady() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

func (r *podRun) hasLoaded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded
}

func (r *podRun) mark(loaded, ready bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.ready = loaded, ready
}

// orders are what the pod's annotations and its deletion ask for.
type orders struct {
	deleting   bool
	crash      bool
	crashAfter time.Duration
	loadTime   time.Duration
	waiting    string
	unready    bool
	refusing   bool
}

func (r *podRun) orders() orders {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.pod.Annotations
	return orders{
		deleting: r.pod.DeletionTimestamp != nil, crash: a[Crash] == "true", waiting: a[Waiting], unready: a[Unready] == "true",
		refusing:   a[Hostile] == HostileRefuse,
		crashAfter: r.duration(a, CrashAfter, r.fleet.opts.CrashAfter), loadTime: r.duration(a, LoadTime, r.fleet.opts.LoadTime),
	}
}

// duration reads an annotation.
func (r *podRun) duration(annotations map[string]string, key string, otherwise time.Duration) time.Duration {
	text, ok := annotations[key]
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		r.fleet.opts.Log("pod %s: annotation %s is %q, want a Go duration of 0s or more", r.name, key, text)
		return otherwise
	}
	return d
}

// run takes the pod from its binding to its end.
func (r *podRun) run() {
	defer r.cancel()
	if !r.admit() {
		return
	}
	defer r.stopEngine()
	r.live()
	r.end()
}

// admit waits for the pod's GPUs and address.
func (r *podRun) admit() bool {
	for !r.node.admit(r) {
		select {
		case <-r.ctx.Done():
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return true
}

// live runs the pod's container, again and again, until the pod is to be deleted.
func (r *podRun) live() {
	r.report(creating())
	r.pause(r.fleet.opts.StartDelay, func(o orders) bool { return o.deleting })
	for !r.over() {
		switch o := r.orders(); {
		case o.waiting != "":
			r.report(waiting(o.waiting))
			r.await(func(now orders) bool { return now != o })
		case o.crash:
			r.crash()
		default:
			r.serve()
		}
	}
}

// over tells whether the pod is to end.
func (r *podRun) over() bool { return r.ctx.Err() != nil || r.orders().deleting }

// crash lets the container start and exit.
func (r *podRun) crash() {
	r.start()
	r.pause(r.orders().crashAfter, func(o orders) bool { return o.deleting })
	if !r.over() {
		r.exit()
	}
}

// start reports a container that has started. Only now a restart is counted.
func (r *podRun) start() {
	r.mu.Lock()
	r.restarts = r.exits
	r.mu.Unlock()
	r.report(loading())
}

// exit reports a container that has exited with 1, and pauses as the kubelet does: not after the first time.
func (r *podRun) exit() {
	s := failed()
	r.report(s)
	r.mu.Lock()
	r.exits++
	r.failed = s.state
	exits := r.exits
	r.mu.Unlock()
	if exits > 1 {
		r.report(waitingToRestart())
		r.pause(r.fleet.opts.CrashBackOff<<min(exits-2, maxBackOff), func(o orders) bool { return o.deleting || !o.crash })
	}
}

// serve loads the model and serves until the container fails or the pod is to end.
func (r *podRun) serve() {
	broken := func(o orders) bool { return o.deleting || o.crash }
	r.load(broken)
	if r.over() {
		return
	}
	if !r.orders().crash {
		r.startEngine()
		for !r.over() && !r.orders().crash {
			o := r.orders()
			r.listen(!o.refusing)
			r.mark(true, !o.unready)
			r.report(running(!o.unready))
			r.await(func(now orders) bool { return broken(now) || now.unready != o.unready || now.refusing != o.refusing })
		}
	}
	if r.over() {
		return
	}
	r.mark(false, false)
	r.stopEngine()
	r.exit()
}

// load waits until the model is loaded or the container fails. The load time may change meanwhile.
func (r *podRun) load(broken func(orders) bool) {
	started := time.Now()
	r.start()
	for !broken(r.orders()) && r.ctx.Err() == nil {
		takes := r.orders().loadTime
		left := takes - time.Since(started)
		if left <= 0 {
			return
		}
		r.pause(left, func(o orders) bool { return broken(o) || o.loadTime != takes })
	}
}

// end lets the container finish what it has, gives back what the pod had, and deletes it.
func (r *podRun) end() {
	if r.ctx.Err() == nil {
		delay := r.fleet.opts.StopDelay
		if grace := r.grace(); delay > grace {
			delay = grace
		}
		select {
		case <-r.ctx.Done():
		case <-time.After(delay):
		}
	}
	r.mark(false, false)
	r.stopEngine()
	r.node.release(r)
	if r.ctx.Err() == nil {
		if err := r.fleet.deletePod(r.ctx, r.name, r.uid); err != nil && r.ctx.Err() == nil {
			r.fleet.opts.Log("deleting pod %s: %v", r.name, err)
		}
	}
}

// grace is how long the pod may take to end.
func (r *podRun) grace() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.pod.DeletionGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 0
}

// await waits until the pod's orders are such that until says so, or the run is cancelled.
func (r *podRun) await(until func(orders) bool) {
	for !until(r.orders()) {
		select {
		case <-r.ctx.Done():
			return
		case <-r.changed:
		}
	}
}

// pause waits for a time, or until the orders say so.
func (r *podRun) pause(d time.Duration, until func(orders) bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !until(r.orders()) {
		select {
		case <-r.ctx.Done():
			return
		case <-timer.C:
			return
		case <-r.changed:
		}
	}
}
