package policy

import (
	"fmt"
	"time"
)

// Unschedulable pods are no capacity (rule 4). Some are left waiting as a request for capacity, and those that nobody needs any more
// are given back.

// Shortage remembers how replicas have been waiting for capacity.
type Shortage struct {
	// Since is when they began to, zero while none do.
	Since time.Time `json:"since,omitzero"`
	// Tries counts how often more of them waited than may, Until is when that may be tried again.
	Tries int       `json:"tries,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Enough is since when the placed replicas have been all that is recommended, zero if they are not.
	Enough time.Time `json:"enough,omitzero"`
}

const (
	// enoughFor is how long placed replicas must be enough before the waiting ones are given back.
	enoughFor = 30 * time.Second
	// firstProbe and lastProbe bound the pause before more pods than may wait are tried again, which doubles each time.
	firstProbe, lastProbe = time.Minute, 30 * time.Minute
)

// pending returns the most replicas that rule 4 allows, and remembers what it must.
func (s *State) pending(spec *Spec, seen *Observation, d *Decision, now time.Time) (ceiling Stage, ok bool) {
	f, short := &d.Fleet, &s.Shortage
	placed := min(f.Placed(), seen.Replicas)
	short.note(f, seen, d.Recommended.Replicas <= placed, now)
	allowed := spec.pendingAllowed(short, now)
	free := 0
	if seen.FreeKnown {
		free = seen.Free
	}
	switch {
	case f.Unschedulable > 0 && !short.Enough.IsZero() && now.Sub(short.Enough) >= enoughFor:
		return Stage{Replicas: placed + f.Fresh, Reason: GaveBack}, true
	case f.Unschedulable > allowed && free < f.Unschedulable-allowed:
		if !now.Before(short.Until) { // else it is the same try, which something keeps from being given back
			short.Tries++
			short.Until = now.Add(min(firstProbe<<min(short.Tries-1, 8), lastProbe))
		}
		return Stage{Replicas: placed + f.Fresh + free + allowed, Reason: GaveBack}, true
	case seen.FreeKnown:
		return Stage{Replicas: max(seen.Replicas, placed+free+allowed), Reason: UnschedulablePods}, true
	case !short.Since.IsZero():
		return Stage{Replicas: max(seen.Replicas, placed+f.Fresh+allowed), Reason: UnschedulablePods}, true
	}
	return Stage{}, false
}

// note keeps account of the shortage.
func (s *Shortage) note(f *Fleet, seen *Observation, enough bool, now time.Time) {
	switch {
	case f.Unschedulable > 0 && s.Since.IsZero():
		s.Since = waitingSince(seen, now)
	case f.Unschedulable == 0 && !now.Before(s.Until):
		s.Since = time.Time{}
	}
	switch {
	case !enough:
		s.Enough = time.Time{}
	case s.Enough.IsZero():
		s.Enough = now
	}
	if enough && f.Unschedulable == 0 {
		s.Tries = 0
	}
}

// waitingSince is when the first of the waiting pods began to wait.
func waitingSince(seen *Observation, now time.Time) time.Time {
	since := now
	for i := range seen.Pods {
		if p := &seen.Pods[i]; p.Phase == Unschedulable && !p.Since.IsZero() && p.Since.Before(since) {
			since = p.Since
		}
	}
	return since
}

// pendingAllowed is how many unschedulable pods may be left waiting now. A cluster autoscaler must see the whole need at once, but
// not for ever.
func (s *Spec) pendingAllowed(short *Shortage, now time.Time) int {
	switch {
	case s.MaxPending != nil:
		return *s.MaxPending
	case short.Since.IsZero() || now.Sub(short.Since) < s.CapacityWait:
		return AllPending
	}
	return 1
}

// overdueAnswered is how many overdue pods are answered with others at a time, so that a dead registry does not walk a workload to
// its maximum.
func (s *Spec) overdueAnswered() int {
	if s.MaxPending != nil {
		return *s.MaxPending
	}
	return 1
}

// shortText tells how many replicas are wanted, placed and short, and of what.
func (d *Decision) shortText() string {
	placed := min(d.Fleet.Placed(), d.Current)
	lacking := d.lacking
	if lacking == "" {
		lacking = "a place"
	}
	wanted := d.Recommended.Replicas
	if wanted <= placed {
		return fmt.Sprintf("%d are wanted, %d placed, %d more wait for %s", wanted, placed, d.Fleet.Unschedulable, lacking)
	}
	return fmt.Sprintf("%d are wanted, %d placed, %d short of %s", wanted, placed, wanted-placed, lacking)
}
