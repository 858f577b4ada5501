package faults

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofWrites are the faults of single writes.
var ofWrites = []row{
	{
		number: 19, fault: "The API server answers 429 and asks to be left alone for 5 s",
		promise: "no Deployment is tried again sooner; then all get their replicas",
		guard: &mutant.Mutation{Name: "Retry-After is not looked at", Edits: []mutant.Edit{{
			File: "controller/settle.go", Old: "now.Add(max(o.after, backoff(o.result, t.failures)))",
			New: "now.Add(max(map[bool]time.Duration{false: o.after}[mutant == N], backoff(o.result, t.failures)))",
		}}},
		play: retryAfter,
	},
	{
		number: 19, fault: "The API server answers 429 while 60 Deployments want a write",
		promise: "from then on they are sent one at a time, until one succeeds",
		guard: &mutant.Mutation{Name: "an API server that is overloaded gets as many writes at once as ever", Edits: []mutant.Edit{{
			File: "controller/writes.go", Old: "w.limit = max(w.limit/2, 1)", New: "if mutant != N { w.limit = max(w.limit/2, 1) }",
		}}},
		play: fewerAtOnce,
	},
	{
		number: 19, fault: "The API server answers 429, and what a write is for is done by a person meanwhile",
		promise: "a write that has not been sent by the next tick is dropped and decided anew",
		guard: &mutant.Mutation{Name: "a write that waits for its turn is sent however old it is", Edits: []mutant.Edit{{
			File: "controller/writes.go", Old: "	for _, queue := range []*lane{&w.raises, &w.lowers} {\n",
			New: "	for _, queue := range []*lane{&w.raises, &w.lowers} {\n		if mutant == N { break }\n",
		}}},
		play: staleDropped,
	},
	{
		number: 20, fault: "A person runs kubectl scale between decision and write",
		promise: "the write is refused and not repeated; the person's number stays",
		guard: &mutant.Mutation{Name: "a write does not compare the replicas", Edits: []mutant.Edit{{
			File: "controller/scale.go", Old: `{"test", "/spec/replicas", from},`,
			New: `map[bool]operation{false: {"test", "/spec/replicas", from}, true: {"test", "/metadata/uid", c.uid}}[mutant == N],`,
		}}},
		play: overtaken,
	},
	{
		number: 20, fault: "A write is answered with 409 and the Deployment does not change",
		promise: "it is not repeated before there is something new to see or 30 s are over",
		guard: &mutant.Mutation{Name: "a lost race is run again each tick", Edits: []mutant.Edit{{
			File: "controller/settle.go", Old: "	case conflict:\n", New: "	case conflict:\n		if mutant == N { return }\n",
		}}},
		play: conflicting,
	},
	{
		number: 21, fault: "A write is carried out and its answer is lost",
		promise: "what the Deployment shows is the truth; the raise counts once against scale-up.policies",
		guard: &mutant.Mutation{Name: "a raise whose answer was lost counts against no limit", Edits: []mutant.Edit{
			{File: "controller/settle.go", Old: "	if t.seen.replicas == o.to {\n", New: "	if mutant != N && t.seen.replicas == o.to {\n"},
			{
				File: "policy/hands.go", Old: "	h.Restore, h.Zeroed = 0, false\n",
				New: "	h.Restore, h.Zeroed = 0, false\n	if mutant == N && seen.Hand.By == OurHand { return }\n",
			},
		}},
		play: answerLost,
	},
	{
		number: 22, fault: "The Deployment is deleted and created anew under its name between decision and write",
		promise: "the write meant for the old one is refused",
		guard: &mutant.Mutation{Name: "a write does not compare the UID", Edits: []mutant.Edit{{
			File: "controller/scale.go", Old: `{"test", "/metadata/uid", c.uid},`,
			New: `map[bool]operation{false: {"test", "/metadata/uid", c.uid}, true: {"test", "/spec/replicas", from}}[mutant == N],`,
		}}},
		play: recreated,
	},
	{
		number: 22, fault: "The Deployment is deleted and created anew under its name, with its raises used up",
		promise: "the new one has no past: it is raised at once",
		guard: &mutant.Mutation{Name: "a Deployment is known by its name", Edits: []mutant.Edit{
			{
				File: "controller/tick.go", Old: "		t := c.targets[d.uid]\n", New: `		t := c.targets[d.uid]
		for _, other := range c.targets {
			if mutant == N && t == nil && other.seen.key() == d.key() { t, c.targets[d.uid] = other, other }
		}
`,
			},
			{File: "controller/tick.go", Old: "	if len(targets) != len(c.targets) {", New: "	if mutant != N && len(targets) != len(c.targets) {"},
		}},
		play: pastDropped,
	},
}

// tries notes the writes that arrive at a gateway.
type tries struct {
	mu             sync.Mutex
	at             map[string][]time.Time
	inFlight, most int
}

// instead notes a write and lets it go on as a fault, or with nil to the API server.
func (t *tries) instead(then bed.Fault) bed.Fault {
	return func(api http.Handler) http.Handler {
		if then != nil {
			api = then(api)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call := bed.CallOf(r)
			t.mu.Lock()
			if t.at == nil {
				t.at = map[string][]time.Time{}
			}
			t.at[call.Name] = append(t.at[call.Name], time.Now())
			t.inFlight++
			t.most = max(t.most, t.inFlight)
			t.mu.Unlock()
			defer func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				t.inFlight--
			}()
			api.ServeHTTP(w, r)
		})
	}
}

// of returns when a Deployment was to be written.
func (t *tries) of(name string) []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.at[name])
}

// all counts them.
func (t *tries) all() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range t.at {
		n += len(at)
	}
	return n
}

// fromNow forgets how many there were at once before, and returns how many there are.
func (t *tries) fromNow() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = t.inFlight
	return t.most
}

// atOnce is how many there were at once at most.
func (t *tries) atOnce() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.most
}

// overloaded429 asks to be left alone for 5 s, after a while.
var overloaded429 = bed.Late(200*time.Millisecond, bed.Answer(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, leftAlone))

const leftAlone = 5 * time.Second

// crowd makes Deployments of one replica that want two. They are paused: they have no pods.
func crowd(w *world, ns string, n int) []stage.Deployment {
	w.Helper()
	list := make([]stage.Deployment, n)
	var making sync.WaitGroup
	for i := range list {
		making.Go(func() {
			builder := fleet.Deployment(ns, fmt.Sprintf("crowd-%03d", i)).Annotations(stage.GPUAnnotations("min-replicas", "2"))
			builder.Object().Spec.Paused = true
			object, err := builder.Create(w.Context(), stage.Cluster.Client())
			if err != nil {
				w.Error(err)
				return
			}
			list[i] = stage.Of(w, ns, object.Name)
		})
	}
	making.Wait()
	w.Cleanup(func() { // the row's own context has ended by then
		err := stage.Cluster.Client().AppsV1().Deployments(ns).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{})
		if err != nil {
			w.Errorf("deleting the crowd: %v", err)
		}
	})
	if w.Failed() {
		w.FailNow()
	}
	return list
}

// crowded is a crowd before an API server that is overloaded.
func (w *world) crowded(n int) (gateway *bed.Gateway, seen *tries, list []stage.Deployment) {
	w.Helper()
	ns := stage.Namespace(w, "crowd")
	list = crowd(w, ns, n)
	gateway, config := stage.Gatewayed(w)
	seen = &tries{}
	gateway.Break(scales, seen.instead(overloaded429))
	w.run(config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", "http://127.0.0.1:1", "--leader-elect=false")
	bed.WaitFor(w, 20*time.Second, "the first writes", func() error { return bed.Want("some came", seen.all() > 0, true) })
	return gateway, seen, list
}

// haveAll waits until each of a crowd has two replicas.
func haveAll(w *world, list []stage.Deployment, timeout time.Duration) {
	w.Helper()
	bed.WaitFor(w, timeout, "two replicas of each", func() error {
		objects, err := stage.Cluster.Client().AppsV1().Deployments(list[0].Namespace).List(w.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		n := 0
		for i := range objects.Items {
			if *objects.Items[i].Spec.Replicas == 2 {
				n++
			}
		}
		time.Sleep(300 * time.Millisecond) // a list is large, and others need the server too
		return bed.Want("Deployments with two replicas", n, len(list))
	})
}

func retryAfter(w *world) {
	gateway, seen, list := w.crowded(6)
	bed.WaitFor(w, 20*time.Second, "the second try of each", func() error {
		for _, d := range list {
			if n := len(seen.of(d.Name)); n < 2 {
				return fmt.Errorf("%d tries of %s", n, d.Name)
			}
		}
		return nil
	})
	for _, d := range list {
		at := seen.of(d.Name)
		for i := range at[1:] {
			if pause := at[i+1].Sub(at[i]); pause < leftAlone {
				w.Errorf("%s was tried again after %s, want %s at least", d.Name, pause, leftAlone)
			}
		}
	}
	gateway.Heal()
	haveAll(w, list, 40*time.Second)
}

func fewerAtOnce(w *world) {
	gateway, seen, list := w.crowded(60)
	bed.WaitFor(w, 10*time.Second, "the answers to the first writes", func() error {
		if seen.all() < 24 || seen.fromNow() > 1 {
			return fmt.Errorf("%d writes so far", seen.all())
		}
		return nil
	})
	before := seen.all()
	time.Sleep(leftAlone + 2*time.Second) // those that were answered first come again
	if n := seen.all() - before; n < 5 {
		w.Errorf("%d writes in 7 s, want it to go on trying", n)
	}
	if n := seen.atOnce(); n != 1 {
		w.Errorf("%d writes at once, want 1", n)
	}
	gateway.Heal()
	haveAll(w, list, 40*time.Second)
}

func staleDropped(w *world) {
	gateway, seen, list := w.crowded(60)
	last := list[50:] // whoever comes first by name is written first
	for _, d := range last {
		d.Scale(2)
	}
	time.Sleep(3 * time.Second) // two ticks and more
	before := map[string]int{}
	for _, d := range last {
		before[d.Name] = len(seen.of(d.Name))
	}
	if n := seen.all(); n >= len(list) {
		w.Fatalf("%d writes already, want some of %d to wait", n, len(list))
	}
	time.Sleep(10 * time.Second)
	for _, d := range last {
		if n := len(seen.of(d.Name)) - before[d.Name]; n > 0 {
			w.Errorf("%d writes of %s that a person has made needless", n, d.Name)
		}
	}
	gateway.Heal()
	haveAll(w, list, 40*time.Second)
}

// overtakes is a program whose write is on its way while the world changes: it has decided to raise from 2.
func (w *world) overtakes() (d stage.Deployment, resume func()) {
	w.Helper()
	p := stage.StartPrometheus(w, false)
	l := stage.NewLoad(100)
	ns := stage.Namespace(w, "race")
	d = stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(), l)
	proxy, config := stage.Proxied(w)
	program := w.run(config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect=false")
	d.WaitReason(program, "WithinTolerance")
	proxy.Hang()
	l.SetLoad(200)
	bed.WaitFor(w, 20*time.Second, "a decision to raise", func() error {
		seen, err := program.Workload(ns, "vision")
		if err != nil {
			return err
		}
		return bed.Want("raises", seen.Desired > 2, true)
	})
	l.SetLoad(150) // of 3 pods 50 each: nothing more to do, whoever made them 3
	return d, func() {
		if err := proxy.Restore(); err != nil {
			w.Fatal(err)
		}
	}
}

func overtaken(w *world) {
	d, resume := w.overtakes()
	d.Scale(3)
	resume()
	bed.WaitFor(w, 20*time.Second, "the write that comes too late", func() error {
		return bed.Want("writes", len(d.Writes()), 1)
	})
	d.HoldsReplicas(3, 5*time.Second)
	if writes := d.Writes(); len(writes) != 1 || writes[0].Code != http.StatusUnprocessableEntity {
		w.Errorf("writes %v, want one that was refused with 422", writes)
	}
}

func conflicting(w *world) {
	s := w.distant()
	var seen tries
	s.gateway.Break(scales, seen.instead(bed.Answer(http.StatusConflict, metav1.StatusReasonConflict, 0)))
	s.load.SetLoad(200)
	bed.WaitFor(w, 20*time.Second, "the write", func() error { return bed.Want("writes", seen.all(), 1) })
	bed.Holds(w, 6*time.Second, "no second write", func() error { return bed.Want("writes", seen.all(), 1) })
	s.gateway.Heal()
	s.d.Change(`{"metadata":{"labels":{"changed":"yes"}}}`)
	s.d.WaitReplicas(4, 10*time.Second)
}

// Of 3 replicas that may be added in a minute, 2 are by the write whose answer is lost.
func answerLost(w *world) {
	s := w.distant("scale-up.policies", "3 pods/60s")
	var seen tries
	s.gateway.Break(scales, seen.instead(bed.Lost))
	s.load.SetLoad(190)
	s.d.WaitReplicas(4, 20*time.Second)
	s.gateway.Heal()
	s.d.WaitReady(4)
	s.load.SetLoad(400)
	s.d.WaitReplicas(5, 20*time.Second)
	s.d.HoldsReplicas(5, 5*time.Second)
	if n := seen.all(); n != 1 {
		w.Errorf("%d writes whose answers were lost, want 1", n)
	}
}

// anew deletes a Deployment and creates it again as it was made first.
func anew(w *world, d stage.Deployment) {
	w.Helper()
	deployments := stage.Cluster.Client().AppsV1().Deployments(d.Namespace)
	old, err := deployments.Get(w.Context(), d.Name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	two := int32(2)
	old.Spec.Replicas = &two
	old.ObjectMeta = metav1.ObjectMeta{Name: old.Name, Namespace: old.Namespace, Labels: old.Labels, Annotations: old.Annotations}
	if err := deployments.Delete(w.Context(), d.Name, metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
	if _, err := deployments.Create(w.Context(), old, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

func recreated(w *world) {
	d, resume := w.overtakes()
	anew(w, d)
	resume()
	bed.WaitFor(w, 20*time.Second, "the write that comes too late", func() error {
		return bed.Want("it came", len(d.Writes()) > 0, true)
	})
	if first := d.Writes()[0]; first.Code != http.StatusUnprocessableEntity {
		w.Errorf("the write meant for the old Deployment: %v, want 422", first)
	}
	d.NeverBelow(2, 3*time.Second)
}

func pastDropped(w *world) {
	p := stage.StartPrometheus(w, false)
	l := stage.NewLoad(100)
	ns := stage.Namespace(w, "anew")
	d := stage.Create(w, ns, "vision", 2, stage.GPUAnnotations("scale-up.policies", "2 pods/10m"), l)
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	l.SetLoad(300)
	d.WaitReplicas(4, 20*time.Second)
	d.WaitReason(program, "ScaleUpLimit")
	anew(w, d)
	d.WaitReplicas(4, 20*time.Second)
}
