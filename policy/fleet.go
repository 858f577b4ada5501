package policy

import "time"

// What a pod is worth, and how long a new one takes (rule 3). Loading pods are capacity on its way: nothing is asked for twice
// while they load. Those that take too long are not waited for.

// worth is what a pod counts for.
type worth uint8

const (
	// serving: Ready, or so until just now.
	serving worth = iota
	// credited: placed, and expected to be Ready in time.
	credited
	// fresh: no node yet, and nothing said against it.
	fresh
	// overdue: placed, and should be Ready by now.
	overdue
	// waiting: no node can take it.
	waiting
)

const (
	// AssumedStartup counts until a startup has been learned.
	AssumedStartup = 5 * time.Minute
	// leastStartup is the shortest that is learned: Kubernetes stamps whole seconds, and a prompt pod is no yardstick.
	leastStartup = 10 * time.Second
	// overdueFactor is how many startups make a pod overdue, startupFactor how far a pod that still loads may stretch a learned one.
	overdueFactor, startupFactor = 1.5, 3
	// maxCreditedRestarts is the number of restarts at which a pod is not believed in any more.
	maxCreditedRestarts = 2
	// missingPatience is how long a replica may be without a pod.
	missingPatience = 30 * time.Second
)

// worth returns what a pod counts for. A pod that ceased to be Ready counts as serving until its last sample is too old, so that
// overload does not erase its own evidence.
func (f *Fleet) worth(p *Pod, maxAge time.Duration, now time.Time) worth {
	switch {
	case p.Phase == Ready:
		return serving
	case p.Phase == Unschedulable:
		return waiting
	case p.Served && now.Sub(p.Since) <= maxAge:
		return serving
	case p.Served:
		return overdue
	case p.Scheduled.IsZero():
		return fresh
	case p.Restarts >= maxCreditedRestarts || float64(now.Sub(p.Scheduled)) >= overdueFactor*float64(f.Startup):
		return overdue
	}
	return credited
}

// IsOverdue reports whether a pod that has a node and is not Ready should be by now. One that ceased to be Ready is at once: here it is
// not about what its last sample shows.
func (f *Fleet) IsOverdue(p Pod, now time.Time) bool {
	return f.worth(&p, -1, now) == overdue
}

// census counts the replicas by what they are worth.
func (s *State) census(spec *Spec, seen *Observation, now time.Time) Fleet {
	f := Fleet{Startup: s.startup(spec, seen, now)}
	unplaced := 0
	for i := range seen.Pods {
		if seen.Pods[i].Phase == Ready {
			f.Ready++
			continue
		}
		switch f.worth(&seen.Pods[i], spec.MaxSampleAge, now) {
		case serving:
			f.Ready++
		case credited:
			f.Loading++
		case fresh:
			f.Loading++
			f.Fresh++
		case overdue:
			f.Overdue++
		case waiting:
			unplaced++
		}
	}
	missing := max(seen.Replicas-len(seen.Pods), 0)
	if missing == 0 || s.Whole.IsZero() {
		s.Whole = now
	}
	if seen.Refused || now.Sub(s.Whole) >= missingPatience {
		unplaced += missing
	} else {
		f.Loading += missing
		f.Fresh += missing
	}
	// During a rollout the pods beyond spec.replicas wait for a place of their own, which is nobody's surplus.
	f.Unschedulable = min(unplaced, max(seen.Replicas-f.Placed(), 0))
	return f
}

// startup is how long a new replica is taken to need: as annotated, else as learned, else assumed. A learned one is stretched by a
// pod that has been loading for longer without a restart: an image or a model may have grown.
func (s *State) startup(spec *Spec, seen *Observation, now time.Time) time.Duration {
	if spec.Startup > 0 {
		return spec.Startup
	}
	learned := s.Startups.quantile(90)
	if learned == 0 {
		return AssumedStartup
	}
	learned = max(learned, leastStartup)
	oldest := learned
	for i := range seen.Pods {
		if p := &seen.Pods[i]; p.Phase == Loading && !p.Served && p.Restarts == 0 && !p.Scheduled.IsZero() {
			oldest = max(oldest, now.Sub(p.Scheduled))
		}
	}
	return min(oldest, startupFactor*learned)
}

// Startups are the last times that pods took from their node to Ready, oldest first, in whole seconds.
type Startups []int

// maxStartups is how many are kept: enough for a 90th percentile that a few odd ones do not move.
const maxStartups = 32

// learn adds what was seen. The list before is left alone.
func (s Startups) learn(took []time.Duration) Startups {
	if len(took) == 0 {
		return s
	}
	learned := append(Startups(nil), s...)
	for _, d := range took {
		if d >= 0 && d <= maxDuration {
			learned = append(learned, int((d+time.Second-1)/time.Second))
		}
	}
	return learned[max(0, len(learned)-maxStartups):]
}

// quantile returns a percentile by nearest rank, 0 if none is known.
func (s Startups) quantile(percent int) time.Duration {
	n := len(s)
	if n == 0 {
		return 0
	}
	var sorted [maxStartups]int // no allocation: this is asked at every decision
	n = copy(sorted[:], s[max(0, n-maxStartups):])
	for i := 1; i < n; i++ {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	rank := max((n*percent+99)/100, 1)
	return max(time.Duration(sorted[rank-1])*time.Second, time.Second)
}

// settled returns since when all that a change at a time has brought is in place; ok is false while some of it is on its way.
// Pods that are overdue, unschedulable or gone are not waited for, nor those that a rollout replaces.
func (f *Fleet) settled(spec *Spec, seen *Observation, since, now time.Time) (at time.Time, ok bool) {
	if f.Fresh > 0 && !seen.Rollout {
		return time.Time{}, false
	}
	at = since
	stamped := since.Truncate(time.Second) // as Kubernetes stamps
	for i := range seen.Pods {
		p := &seen.Pods[i]
		switch {
		case p.Phase == Ready:
			at = later(at, p.Since.Add(seen.Stamp)) // a sample from within the stamp may be from before
		case seen.Rollout || p.Scheduled.Before(stamped):
		case f.worth(p, spec.MaxSampleAge, now) == credited:
			return time.Time{}, false
		}
	}
	return at, true
}

// Settling reports whether it matters when exactly samples were taken: the last raise or step is so young, or a pod has become Ready so
// lately after it, that samples of unknown age may be from before.
func (s *State) Settling(spec *Spec, pods []Pod, now time.Time) bool {
	since := s.lastRaise()
	for i := range s.Fired {
		since = later(since, s.Fired[i].Time)
	}
	if since.IsZero() {
		return false
	}
	if now.Sub(since) <= spec.MaxSampleAge {
		return true
	}
	since = since.Truncate(time.Second)
	for i := range pods {
		if p := &pods[i]; p.Phase == Ready && !p.Since.Before(since) && now.Sub(p.Since) <= spec.MaxSampleAge {
			return true
		}
	}
	return false
}

// lastRaise returns the time of the last raise that is remembered, zero if none is.
func (s *State) lastRaise() time.Time {
	for i := len(s.Events) - 1; i >= 0; i-- {
		if s.Events[i].Change > 0 {
			return s.Events[i].Time
		}
	}
	return time.Time{}
}
