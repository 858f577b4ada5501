package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The rest of rule 12: a rate of zero is no proof of idleness, and a queue that nobody works on is no demand for more replicas.

// PodTime is a pod and a time.
type PodTime struct {
	Pod  string    `json:"pod"`
	Time time.Time `json:"time"`
}

// stallAfter is how long requests must wait without a token on a pod that hangs.
const stallAfter = 2 * time.Minute

// watchStalls keeps account of the ready pods on which requests wait and no token comes.
func (s *State) watchStalls(spec *Spec, seen *Observation, now time.Time) {
	queue, tokens := seen.reading(QueueDepth), seen.reading(TokensPerSecond)
	if queue == nil || tokens == nil || queue.Problem != "" || tokens.Problem != "" {
		return // what hung may hang still
	}
	var stuck []PodTime
	for i := range seen.Pods {
		p := &seen.Pods[i]
		if p.Phase != Ready {
			continue
		}
		waits, ok1 := queue.at(i, spec, now)
		flows, ok2 := tokens.at(i, spec, now)
		if !ok1 || !ok2 || waits == 0 || flows > 0 {
			continue
		}
		since := now
		if j := indexPod(s.Stuck, p.Name); j >= 0 {
			since = s.Stuck[j].Time
		}
		stuck = append(stuck, PodTime{p.Name, since})
	}
	s.Stuck = stuck
}

// at returns the sample of a pod in thousandths, if there is one that counts.
func (r *Reading) at(i int, spec *Spec, now time.Time) (m int64, ok bool) {
	if i >= len(r.Samples) {
		return 0, false
	}
	m, ok, _ = r.Samples[i].usable(spec.MaxSampleAge, now)
	return m, ok
}

func indexPod(list []PodTime, pod string) int {
	return slices.IndexFunc(list, func(p PodTime) bool { return p.Pod == pod })
}

// stalled reports whether a pod hangs.
func (s *State) stalled(pod string, now time.Time) bool {
	if len(s.Stuck) == 0 {
		return false
	}
	i := indexPod(s.Stuck, pod)
	return i >= 0 && now.Sub(s.Stuck[i].Time) >= stallAfter
}

// noteStalls reports the pods that hang.
func (d *Decision) noteStalls(s *State, now time.Time) {
	var names []string
	for i := range s.Stuck {
		if now.Sub(s.Stuck[i].Time) >= stallAfter {
			names = append(names, s.Stuck[i].Pod)
		}
	}
	if len(names) == 0 {
		return
	}
	const shown = 3
	text := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	d.note(Stalled, "requests wait on "+text+" and no token has come for 2 minutes: not counted as a replica that serves")
}

// besides returns how many replicas there must be for so many to do the work beside those that hang, which the Deployment would not
// remove first. They are answered like overdue ones: a few at a time.
func (s *Spec) besides(needed, working, stalled, current int) int {
	if needed > working {
		return max(needed+min(stalled, s.overdueAnswered()), current)
	}
	return needed + stalled
}

// isRate reports whether the signal is a rate: it reads 0 on a pod that hangs just as on one that has nothing to do.
func (s Signal) isRate() bool { return s == TokensPerSecond || s == RequestsPerSecond }

// doubtful reports whether a rate of 0 cannot be taken for idleness: the pod served within the scale-down window, and it is not known
// that nothing waits or runs on it.
func (s *State) doubtful(spec *Spec, seen *Observation, i int, now time.Time) bool {
	j := indexPod(s.Served, seen.Pods[i].Name)
	if j < 0 || now.Sub(s.Served[j].Time) >= spec.ScaleDown.StabilizationWindow {
		return false
	}
	for _, signal := range [...]Signal{QueueDepth, RunningRequests} {
		r := seen.reading(signal)
		if r == nil || r.Problem != "" || r.PerWorkload {
			return true
		}
		if m, ok := r.at(i, spec, now); !ok || m != 0 {
			return true
		}
	}
	return false
}

// watchRates remembers which pods serve, as far as a rate of theirs is asked for.
func (s *State) watchRates(spec *Spec, seen *Observation, now time.Time) {
	if !spec.looksAtRates() {
		return
	}
	var served []PodTime
	for i := range seen.Pods {
		name := seen.Pods[i].Name
		at := time.Time{}
		if j := indexPod(s.Served, name); j >= 0 {
			at = s.Served[j].Time
		}
		for _, signal := range [...]Signal{TokensPerSecond, RequestsPerSecond} {
			if r := seen.reading(signal); r != nil && r.Problem == "" && !r.PerWorkload {
				if m, ok := r.at(i, spec, now); ok && m > 0 {
					at = now
				}
			}
		}
		if !at.IsZero() && now.Sub(at) < spec.ScaleDown.StabilizationWindow {
			if served == nil {
				served = make([]PodTime, 0, len(seen.Pods))
			}
			served = append(served, PodTime{name, at})
		}
	}
	s.Served = served
}

// looksAtRates reports whether a rate has a target or steps.
func (s *Spec) looksAtRates() bool {
	return slices.ContainsFunc(s.Targets, func(t Target) bool { return t.Signal.isRate() }) ||
		slices.ContainsFunc(s.Steps, func(t Steps) bool { return t.Signal.isRate() })
}
