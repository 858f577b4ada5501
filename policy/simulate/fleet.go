package simulate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// fleet is the pods of the Deployment and what the cluster does with them.
type fleet struct {
	start   time.Time
	startup time.Duration
	// gpus is how many pods can be placed now, unlimited for any number.
	gpus int
	// pods are the living ones in order of creation.
	pods []pod
	// created counts all pods ever created.
	created int
	// sound is when pods created now begin to start up: now, or when the crash loop ends.
	sound time.Duration
}

// pod is one living pod. Times count from the start of the scenario.
type pod struct {
	name          string
	placed, ready bool
	createdAt     time.Duration
	placedAt      time.Duration
	readyAt       time.Duration
	// sound is when it stops crashing.
	sound time.Duration
	// initial says that it was ready before the scenario began.
	initial bool
	// outdated says that a rollout will replace it, surge that it is the one beyond spec.replicas during a rollout.
	outdated, surge bool
	// gone says that it is being removed.
	gone bool
}

const (
	// never is later than every time of a scenario.
	never = time.Duration(math.MaxInt64)
	// unlimited are more GPUs than any scenario has pods.
	unlimited = math.MaxInt
)

// newFleet returns a fleet of ready pods.
func newFleet(s *Scenario) *fleet {
	f := &fleet{start: s.Start, startup: s.Startup}
	for range s.Replicas {
		f.create(pod{placed: true, ready: true, initial: true})
	}
	return f
}

// create adds a pod of the next creation index.
func (f *fleet) create(p pod) {
	p.name = fmt.Sprintf("pod-%d", f.created)
	f.created++
	f.pods = append(f.pods, p)
}

// scale brings the Deployment to n pods, not counting one beyond them.
func (f *fleet) scale(n int, at time.Duration) {
	var have []int // the pods in the order in which they go
	for i := range f.pods {
		if !f.pods[i].surge {
			have = append(have, i)
		}
	}
	for range n - len(have) {
		f.create(pod{createdAt: at, sound: f.sound})
	}
	if n >= len(have) {
		return
	}
	slices.SortFunc(have, func(a, b int) int {
		return cmp.Or(f.pods[b].dispensable()-f.pods[a].dispensable(), b-a)
	})
	for _, i := range have[:len(have)-n] {
		f.pods[i].gone = true
	}
	f.pods = slices.DeleteFunc(f.pods, func(p pod) bool { return p.gone })
	f.endRollout()
}

// dispensable ranks the pods when replicas are lowered: the unschedulable go first, then those not ready, then the ready ones;
// of equals the youngest.
func (p *pod) dispensable() int {
	switch {
	case !p.placed:
		return 2
	case !p.ready:
		return 1
	}
	return 0
}

// place gives GPUs to the pods that wait for one, the oldest first.
func (f *fleet) place(at time.Duration) {
	free := f.free()
	for i := range f.pods {
		if p := &f.pods[i]; free > 0 && !p.placed {
			p.placed, p.placedAt = true, at
			free--
		}
	}
}

// free is how many pods can be placed beside those that are: none if there are more of those than GPUs.
func (f *fleet) free() int { return max(f.gpus-f.placed(), 0) }

// placed counts the pods that hold GPUs.
func (f *fleet) placed() int {
	n := 0
	for i := range f.pods {
		if f.pods[i].placed {
			n++
		}
	}
	return n
}

// settle makes those pods ready that have started up, and lets a rollout proceed.
func (f *fleet) settle(at time.Duration) {
	for i := range f.pods {
		p := &f.pods[i]
		if !p.placed || p.ready || p.sound == never {
			continue
		}
		if at >= max(p.placedAt, p.sound)+f.startup {
			p.ready, p.readyAt = true, at
		}
	}
	f.retire(at)
}

// rollout begins to replace all pods. A rollout that was going on begins anew.
func (f *fleet) rollout(at time.Duration) {
	f.pods = slices.DeleteFunc(f.pods, func(p pod) bool { return p.surge })
	for i := range f.pods {
		f.pods[i].outdated = true
	}
	f.surge(at)
}

// surge creates the pod that will replace the next outdated one.
func (f *fleet) surge(at time.Duration) {
	if len(f.pods) > 0 {
		f.create(pod{createdAt: at, sound: f.sound, surge: true})
	}
}

// retire removes the oldest outdated pod when its replacement is ready, and goes on with the next.
func (f *fleet) retire(at time.Duration) {
	i := slices.IndexFunc(f.pods, func(p pod) bool { return p.surge && p.ready })
	if i < 0 {
		return
	}
	f.pods[i].surge = false
	oldest := slices.IndexFunc(f.pods, func(p pod) bool { return p.outdated })
	f.pods = slices.Delete(f.pods, oldest, oldest+1)
	if slices.ContainsFunc(f.pods, func(p pod) bool { return p.outdated }) {
		f.surge(at)
		f.place(at)
	}
}

// endRollout removes the pod beyond spec.replicas when nothing is left that it could replace.
func (f *fleet) endRollout() {
	if !slices.ContainsFunc(f.pods, func(p pod) bool { return p.outdated }) {
		f.pods = slices.DeleteFunc(f.pods, func(p pod) bool { return p.surge })
	}
}

// count counts the pods by phase, without the one beyond spec.replicas.
func (f *fleet) count(t *Tick) {
	for i := range f.pods {
		p := &f.pods[i]
		switch {
		case p.surge:
		case p.ready:
			t.Ready++
		case p.placed:
			t.Loading++
		default:
			t.Unschedulable++
		}
	}
}
