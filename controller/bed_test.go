package controller

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gpuscaler/gpuscaler/policy"
)

// bed is a Controller whose caches are filled by hand.
type bed struct {
	*Controller
	t        *testing.T
	reader   *fakeReader
	scaler   *fakeScaler
	registry *prometheus.Registry
	members  *members
	version  int
}

// noon is when tests begin: the time at which synctest's clock starts, so that it can be used with and without.
var noon = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// newBed makes a bed; change adjusts the options.
func newBed(t *testing.T, change ...func(*Options)) *bed {
	t.Helper()
	b := &bed{t: t, reader: &fakeReader{}, scaler: &fakeScaler{}, registry: prometheus.NewRegistry()}
	o := Options{
		Client:   fake.NewClientset(),
		Signals:  b.reader,
		Settings: policy.Settings{Interval: 5 * time.Second, MaxSampleAge: 90 * time.Second},
		Registry: b.registry,
		Gatherer: b.registry,
	}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Controller = c
	if !o.DryRun {
		c.scaler = b.scaler
	}
	b.members = &members{sets: &store[*replicaSet]{}, pods: &store[*pod]{adopt: c.watches.startups.adopt}}
	b.members.sets.synced.Store(true)
	b.members.pods.synced.Store(true)
	c.watches.members[""] = b.members
	return b
}

// asks are annotations that track a signal at 50.
func asks(signal policy.Signal, more ...string) map[string]string {
	a := map[string]string{
		policy.Prefix + "enabled":                  "true",
		policy.Prefix + "max-replicas":             "10",
		policy.Prefix + "target." + string(signal): "50",
	}
	for i := 0; i+1 < len(more); i += 2 {
		a[policy.Prefix+more[i]] = more[i+1]
	}
	return a
}

// deploy stores a Deployment of the namespace ns, or a new version of it, with as many ready pods as replicas.
func (b *bed) deploy(name string, replicas int, annotations map[string]string) {
	b.t.Helper()
	b.show(name, "uid-"+name, replicas, annotations)
	b.run(name, "uid-"+name, replicas, policy.Ready)
}

// show stores a Deployment without touching its pods.
func (b *bed) show(name, uid string, replicas int, annotations map[string]string) {
	b.t.Helper()
	b.version++
	d := &deployment{meta: meta{"ns", name, strconv.Itoa(b.version)}, uid: types.UID(uid), replicas: replicas, annotations: maps.Clone(annotations)}
	if err := b.watches.deployments[0].Update(d); err != nil {
		b.t.Fatal(err)
	}
}

// run stores n pods of a Deployment in a phase.
func (b *bed) run(name, uid string, n int, phase policy.Phase) {
	b.t.Helper()
	set := types.UID(uid + "-rs")
	_ = b.members.sets.Update(&replicaSet{meta: meta{"ns", name + "-rs", "1"}, uid: set, deployment: types.UID(uid)})
	for _, p := range b.members.pods.ownedBy(set, nil) {
		_ = b.members.pods.Delete(p)
	}
	scheduled := int64(1) // long ago
	if phase == policy.Loading {
		scheduled = noon.Unix()
	}
	for i := range n {
		_ = b.members.pods.Update(&pod{meta: meta{"ns", fmt.Sprintf("%s-%d", name, i), ""}, replicaSet: set, scheduled: scheduled, since: scheduled + 1, gpus: 1, phase: phase})
	}
}

// tick makes the n-th tick and waits for its writes.
func (b *bed) tick(n int) *Snapshot {
	b.t.Helper()
	s := b.Tick(b.t.Context(), noon.Add(time.Duration(n)*5*time.Second))
	wait, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	b.waitWrites(wait)
	return s
}

// waitWrites waits until no write is in flight, without taking any back.
func (b *bed) waitWrites(ctx context.Context) {
	for ctx.Err() == nil {
		b.writes.mu.Lock()
		busy := len(b.writes.shares) + len(b.writes.raises.turns) + len(b.writes.lowers.turns)
		b.writes.mu.Unlock()
		if busy == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// fakeReader answers with one value for every pod.
type fakeReader struct {
	mu sync.Mutex
	// values are by signal; a signal that is not in it has no samples.
	values map[policy.Signal]float64
	// hang makes a signal's query wait for the end of its context.
	hang map[policy.Signal]bool
	// fail makes a signal's query fail.
	fail map[policy.Signal]error
	// pod, if not nil, is called for each pod before it is answered.
	pod func(namespace, name string)
	// read, if not nil, is called for each query.
	read  func(policy.Signal)
	calls map[policy.Signal][][]string
}

// set changes what a signal reads.
func (r *fakeReader) set(signal policy.Signal, value float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil {
		r.values = map[policy.Signal]float64{}
	}
	r.values[signal] = value
}

func (r *fakeReader) Read(ctx context.Context, signal policy.Signal, namespaces []string) (Readings, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = map[policy.Signal][][]string{}
	}
	r.calls[signal] = append(r.calls[signal], namespaces)
	if r.read != nil {
		r.read(signal)
	}
	if r.hang[signal] {
		r.mu.Unlock()
		<-ctx.Done()
		r.mu.Lock()
		return Readings{}, ctx.Err()
	}
	if err := r.fail[signal]; err != nil {
		return Readings{}, err
	}
	value, ok := r.values[signal]
	pod := r.pod
	return Readings{Pod: func(namespace, name string) (policy.Sample, string) {
		if pod != nil {
			pod(namespace, name)
		}
		return policy.Sample{Value: value, OK: ok}, "test_metric"
	}}, nil
}

// fakeScaler notes the changes and answers what it is told to.
type fakeScaler struct {
	mu      sync.Mutex
	changes []change
	// answer, if not nil, decides what becomes of a change; without it all succeed.
	answer func(context.Context, change) (written, error)
}

func (s *fakeScaler) Scale(ctx context.Context, c change) (written, error) {
	s.mu.Lock()
	s.changes = append(s.changes, c)
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		return answer(ctx, c)
	}
	return written{replicas: c.to}, nil
}

// made returns the changes that were sent, as text.
func (s *fakeScaler) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, c := range s.changes {
		list = append(list, fmt.Sprintf("%s %d->%d", c.name, c.from, c.to))
	}
	return list
}
