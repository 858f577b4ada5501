package controller

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gpuscaler/gpuscaler/policy"
)

// mapReader answers from a map by pod, as one that has decoded a reply of Prometheus does.
type mapReader map[key]float64

func (m mapReader) Read(context.Context, policy.Signal, []string) (Readings, error) {
	return Readings{Pod: func(namespace, name string) (policy.Sample, string) {
		value, ok := m[key{namespace, name}]
		return policy.Sample{Value: value, OK: ok}, "DCGM_FI_DEV_GPU_UTIL"
	}}, nil
}

// fleetOf fills the caches with Deployments of ten ready pods each, in a hundred namespaces.
func fleetOf(b testing.TB, deployments int) (*Controller, mapReader) {
	reader := mapReader{}
	c, err := New(Options{
		Client:   fake.NewClientset(),
		Signals:  reader,
		Settings: policy.Settings{Interval: 5 * time.Second, MaxSampleAge: 90 * time.Second},
		Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	c.scaler = &fakeScaler{}
	m := &members{sets: &store[*replicaSet]{}, pods: &store[*pod]{adopt: c.watches.startups.adopt}}
	var listed, sets, pods []any
	for d := range deployments {
		ns, name := fmt.Sprintf("team-%02d", d%100), fmt.Sprintf("model-server-%05d", d)
		uid := types.UID(fmt.Sprintf("%08d-1111-4222-8333-444444444444", d))
		set := types.UID(fmt.Sprintf("%08d-5555-4666-8777-888888888888", d))
		listed = append(listed, &deployment{meta: meta{ns, name, "1"}, uid: uid, replicas: 10, annotations: asks(policy.GPUUtilization, "max-replicas", "20")})
		sets = append(sets, &replicaSet{meta: meta{ns, name + "-6c7f8d9b54", "1"}, uid: set, deployment: uid})
		for p := range 10 {
			pod := &pod{meta: meta{ns, fmt.Sprintf("%s-6c7f8d9b54-%05d", name, p), "1"}, replicaSet: set, scheduled: 1, since: 2, gpus: 1, phase: policy.Ready}
			pods = append(pods, pod)
			reader[pod.key()] = 50
		}
	}
	_ = c.watches.deployments[0].Replace(listed, "1")
	_ = m.sets.Replace(sets, "1")
	_ = m.pods.Replace(pods, "1")
	c.watches.members[""] = m
	return c, reader
}

// cpu is the time that this process has spent on all cores.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkTick10000 is a tick over 10,000 Deployments with 100,000 pods, one signal, nothing to change, without reading.
func BenchmarkTick10000(b *testing.B) {
	c, _ := fleetOf(b, 10000)
	now := noon
	c.Tick(b.Context(), now)
	b.ReportAllocs()
	began := cpu()
	for b.Loop() {
		now = now.Add(5 * time.Second)
		c.Tick(b.Context(), now)
	}
	b.ReportMetric(float64((cpu()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(c.writes.inFlight), "writes")
}

// BenchmarkTickBesideBadTenant is a tick over 10,000 good Deployments, alone and beside 10,000 of another namespace with wrong annotations: half
// of them have 90, the others 2,000. Compare cpu-ms/op.
func BenchmarkTickBesideBadTenant(b *testing.B) {
	for name, bad := range map[string]int{"alone": 0, "beside": 10_000} {
		b.Run(name, func(b *testing.B) {
			c, _ := fleetOf(b, 10_000)
			for i := range bad {
				d := invalid("bad", i)
				d.settled = true
				if err := c.watches.deployments[0].Update(d); err != nil {
					b.Fatal(err)
				}
			}
			now := noon
			for range 3 {
				c.Tick(b.Context(), now)
				now = now.Add(5 * time.Second)
			}
			runtime.GC()
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				c.Tick(b.Context(), now)
				now = now.Add(5 * time.Second)
			}
			b.ReportMetric(float64((cpu()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkCaches10000 reports the heap that the caches of that size take.
func BenchmarkCaches10000(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	for b.Loop() {
		before := heap()
		c, reader := fleetOf(b, 10000)
		nodesOf(c, 10000)
		c.Tick(b.Context(), noon)
		c.Tick(b.Context(), noon.Add(5*time.Second))
		clear(reader) // but not what was kept of it
		b.ReportMetric(heap()-before, "MiB")
		runtime.KeepAlive(c)
	}
}

// nodesOf gives the fleet a node for each 80 pods and lets each of its pods hold one on them, as the places see it. It returns a pod
// that comes and goes.
func nodesOf(c *Controller, deployments int) *boundPod {
	var nodes, bound []any
	for i := range deployments * 10 / 80 {
		nodes = append(nodes, &node{
			meta: meta{"", fmt.Sprintf("gpu-%05d", i), "1"}, ready: true, labels: map[string]string{"zone": fmt.Sprint(i % 3)},
			allocatable: amounts{"cpu": 128000, "memory": 1 << 40, "pods": 110, gpu: 81},
		})
	}
	one := func(i int) *boundPod {
		return &boundPod{
			meta: meta{"team", fmt.Sprintf("pod-%06d", i), "1"}, uid: types.UID(fmt.Sprintf("%08d-9999-4222-8333-444444444444", i)),
			node: fmt.Sprintf("gpu-%05d", i%len(nodes)), requests: amounts{gpu: 1, "cpu": 1000},
		}
	}
	for i := range deployments * 10 {
		bound = append(bound, one(i))
	}
	_ = c.watches.places.nodes.Replace(nodes, "1")
	_ = c.watches.places.bookings.Replace(bound, "1")
	for _, d := range c.watches.deployments[0].all(nil) {
		d.placing = placing{shape: shapeOf(wants(gpu, "1", "cpu", fmt.Sprint(1+len(d.name)%7))), judged: true}
	}
	return one(deployments * 10)
}

// BenchmarkTickPlaces10000 is the same with the nodes' places counted, a pod that came or went since the last tick, and all
// Deployments taken for ones whose pods may wait for a node.
func BenchmarkTickPlaces10000(b *testing.B) {
	c, _ := fleetOf(b, 10000)
	churn := nodesOf(c, 10000)
	now := noon
	c.Tick(b.Context(), now)
	b.ReportAllocs()
	began := cpu()
	for n := 0; b.Loop(); n++ {
		if n%2 == 0 {
			_ = c.watches.places.bookings.Add(churn)
		} else {
			_ = c.watches.places.bookings.Delete(churn)
		}
		now = now.Add(5 * time.Second)
		c.Tick(b.Context(), now)
	}
	b.ReportMetric(float64((cpu()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	if n, known := c.watches.places.ledger().forDeployment(c.watches.deployments[0].all(nil)[0]); !known || n == 0 {
		b.Fatalf("%d places, known: %v", n, known)
	}
}
