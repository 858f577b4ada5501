package faults

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// crash is a moment in which the leader is killed.
type crash struct {
	name string
	// calls are the requests of which the first is that moment: queries if nil.
	calls bed.Calls
	// after says that the request is done by then, and only its answer is lost.
	after bool
	// first says that it is in the first of two raises, which is the one that has an Event: the next within ten minutes has none.
	first bool
	guard *mutant.Mutation
}

// ofCrashes are the moments between two steps that others can see.
var ofCrashes = func() (list []row) {
	for _, c := range []crash{
		{name: "while it asks Prometheus", guard: noCheckpoint},
		{name: "with Prometheus' answer on its way", after: true, guard: noCheckpoint},
		{name: "when it has decided, before the write", calls: writes, guard: noCheckpoint},
		{name: "when the write is made, before it knows", calls: writes, after: true, guard: noOthersWrites},
		{name: "after the write, before the Event", calls: events, first: true, guard: noOthersWrites},
		{name: "after the Event, before the checkpoint", calls: checkpoints, first: true, guard: noOthersWrites},
		{name: "when the checkpoint is written", calls: checkpoints, after: true, first: true, guard: noCheckpoint},
	} {
		list = append(list, row{
			number: 27, fault: "The leader is killed (-9) " + c.name,
			promise: "the next one makes the raise if it was not made, once, and no further one than the limits allow both together",
			guard:   c.guard, play: c.play,
		})
	}
	return list
}()

func writes(c *bed.Call) bool { return c.Subresource == "scale" && c.Verb == "patch" }

func events(c *bed.Call) bool { return c.Resource == "events" && c.Verb == "create" }

func checkpoints(c *bed.Call) bool {
	return c.Resource == "configmaps" && slices.Contains([]string{"create", "update"}, c.Verb)
}

// play has a leader make two raises, which are all that the limits allow in five minutes, and kills it in the middle of one.
func (c *crash) play(w *world) {
	ns, d, l, p := w.scene("crash", "scale-up.policies", "2 pods/5m")
	stage.AllowName(w, ns)
	gateway, config := stage.Gatewayed(w)
	leader := w.run(config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect", "--controller-name", ns)
	bed.WaitFor(w, 30*time.Second, "a leader", func() error { return bed.Want("leads", leader.Leads(), true) })
	standby := w.named(ns, ns, p.URL())
	d.WaitReason(leader, "WithinTolerance")
	for i, raise := range []struct {
		load     float64
		replicas int
	}{{230, 5}, {400, 6}} {
		deadly := c.first == (i == 0)
		if deadly {
			time.Sleep(6 * time.Second) // by now what was before is in the checkpoint
			c.arm(w, gateway, p, leader)
		}
		l.SetLoad(raise.load)
		if deadly {
			c.waitKilled(w, leader)
		}
		d.WaitReplicas(raise.replicas, 30*time.Second)
		d.WaitReady(raise.replicas)
	}
	bed.WaitFor(w, 30*time.Second, "the next leader", func() error { return bed.Want("leads", standby.Leads(), true) })
	d.WaitReason(standby, "ScaleUpLimit")
	d.HoldsReplicas(6, 4*time.Second)
	made := slices.DeleteFunc(d.Writes(), func(e bed.AuditEvent) bool { return e.Code != http.StatusOK })
	if len(made) != 2 {
		w.Errorf("writes %v, want one for each raise", made)
	}
}

// waitKilled waits until the leader has come to the moment.
func (c *crash) waitKilled(w *world, leader *stage.Process) {
	w.Helper()
	bed.WaitFor(w, 30*time.Second, "a leader that is killed "+c.name, func() error {
		_, ended := leader.Ended()
		return bed.Want("ended", ended, true)
	})
}

// arm has the leader killed at the moment, and once.
func (c *crash) arm(w *world, gateway *bed.Gateway, p *prom.Server, leader *stage.Process) {
	var once sync.Once
	kill := func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			first := false
			once.Do(func() { first = true })
			if !first {
				server.ServeHTTP(rw, r)
				return
			}
			if c.after {
				server.ServeHTTP(httptest.NewRecorder(), r)
			}
			leader.Kill()
			panic(http.ErrAbortHandler)
		})
	}
	if c.calls != nil {
		gateway.Break(c.calls, kill)
		return
	}
	if err := p.SetHandler(kill); err != nil {
		w.Fatal(err)
	}
}
