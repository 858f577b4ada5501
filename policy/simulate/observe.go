package simulate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// lacking is what there is too little of when pods cannot be placed: nothing else is ever short in a scenario.
const lacking = "nvidia.com/gpu"

// observe sees what the controller sees.
func (r *run) observe(at time.Duration, now time.Time) error {
	if r.podTicks += len(r.fleet.pods); r.podTicks > maxPodTicks {
		return fmt.Errorf("ticks times pods exceed %d: give a shorter duration or a longer interval", maxPodTicks)
	}
	if r.loop != nil {
		if err := r.loop.serve(r.fleet); err != nil {
			return err
		}
		r.loop.scrape(r.fleet, at)
	}
	seen := &r.seen
	seen.Replicas, seen.Hand = r.replicas, r.hand
	seen.Readings = r.reader.read(r.fleet, now, r.lasting(Outage, at) != nil)
	r.fleet.observe(seen, at)
	seen.Rival, seen.Frozen = "", ""
	if e := r.lasting(Conflicting, at); e != nil {
		seen.Rival = cmp.Or(e.Name, "another autoscaler")
		if r.scenario.writes() {
			seen.Frozen = policy.Conflict
		}
	}
	return nil
}

// observe tells what can be seen of the pods and of the cluster. The slices in what was seen before are written over.
func (f *fleet) observe(seen *policy.Observation, at time.Duration) {
	seen.Pods, seen.Started = seen.Pods[:0], seen.Started[:0]
	seen.Rollout = false
	for i := range f.pods {
		p := &f.pods[i]
		seen.Pods = append(seen.Pods, f.seen(p, at))
		if p.ready && !p.initial && p.readyAt == at {
			seen.Started = append(seen.Started, p.readyAt-p.placedAt)
		}
		seen.Rollout = seen.Rollout || p.outdated
	}
	seen.CrashLoop = f.crashLoop(at)
	seen.Free, seen.FreeKnown, seen.Lacking = 0, f.gpus != unlimited, ""
	if seen.FreeKnown {
		seen.Free, seen.Lacking = f.free(), lacking
	}
}

// seen is what can be seen of one pod. Of those of the start it is not known when they were placed.
func (f *fleet) seen(p *pod, at time.Duration) policy.Pod {
	s := policy.Pod{Name: p.name, Served: p.ready, Restarts: p.restarts(at)}
	switch {
	case p.initial:
		s.Phase = policy.Ready
		return s
	case p.ready:
		s.Phase, s.Since = policy.Ready, f.start.Add(p.readyAt)
	case p.placed:
		s.Phase, s.Since = policy.Loading, f.start.Add(p.placedAt)
	default:
		s.Phase, s.Since = policy.Unschedulable, f.start.Add(p.createdAt)
		return s
	}
	s.Scheduled = f.start.Add(p.placedAt)
	return s
}

// crashLoop says why no pod of the newest template comes up, empty if one does or may yet. Pods without a GPU tell nothing of that.
func (f *fleet) crashLoop(at time.Duration) string {
	reason := ""
	for i := range f.pods {
		switch p := &f.pods[i]; {
		case p.outdated || !p.placed:
		case p.crashes(at) && p.restarts(at) > 0:
			reason = "CrashLoopBackOff"
		default:
			return ""
		}
	}
	return reason
}

// crashes reports whether the pod is in a crash loop.
func (p *pod) crashes(at time.Duration) bool { return !p.ready && at < p.sound }

// A container that crashes is started again at once, and then each time after twice the wait before, up to five minutes (the
// kubelet's back-off). It crashes a moment after it was started the first time, and at once after that.
const (
	firstCrash   = time.Second
	firstBackOff = 10 * time.Second
	lastBackOff  = 5 * time.Minute
)

// restarts counts the restarts of a pod, which are over when the crash loop is.
func (p *pod) restarts(at time.Duration) int {
	if !p.placed {
		return 0
	}
	n, next, wait := 0, p.placedAt+firstCrash, firstBackOff
	until := min(at, p.sound)
	for ; next <= until && wait < lastBackOff; wait *= 2 {
		n, next = n+1, next+wait
	}
	if next <= until {
		n += 1 + int((until-next)/lastBackOff)
	}
	return n
}
