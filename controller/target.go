package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// target is a Deployment to be scaled and all that is remembered of it. Between ticks nobody touches it; in a tick one
// worker does.
type target struct {
	// seen is the Deployment as the cache shows it in this tick.
	seen *deployment
	asked
	state policy.State
	// replies are those of its custom signals in this tick.
	replies []*reply

	decision policy.Decision
	// note says why the present tick made no decision, empty if it made one.
	note                          string
	ready, loading, unschedulable int
	gpuSeconds                    GPUSeconds
	heldBefore                    reasonSet

	// writing says that a write has been handed over and has not come back.
	writing bool
	// awaited is the resourceVersion of the last write, as long as the cache has not shown it.
	awaited string
	// unsure is a write of which nobody knows whether it was made, nil if there is none.
	unsure *outcome
	// failures counts the writes that failed since the last success, and retry is when the next may be tried.
	failures int
	retry    time.Time
	// writeProblem tells of them, empty if there were none.
	writeProblem string
	// lost says that the last write lost a race whose outcome the cache has not shown.
	lost bool
	// quarantine is until when the target is left alone after a panic.
	quarantine time.Time

	told told
}

// asked is what the annotations ask for.
type asked struct {
	// spec is what counts, nil as long as the annotations have never been valid. good is the last valid one.
	spec, good *policy.Spec
	problems   policy.Problems
	// frozen and raiseOnly are what the problems forbid.
	frozen, raiseOnly policy.Reason
	// signals are to be read for all targets at once, custom ones by queries of this target's own.
	signals, custom []policy.Signal
	// group is equal for targets that wait for the same signals.
	group string
}

// told is what has been told of a target, so that only changes are.
type told struct {
	reason  policy.Reason
	desired int
	known   bool
	// conditions are the reasons for Events that held at the last tick.
	conditions reasonSet
	problems   string
}

// see takes over what the cache shows now.
func (t *target) see(d *deployment, settings policy.Settings) {
	before := t.seen
	if before == d {
		return
	}
	t.seen = d
	if before == nil || !sameAnnotations(before.annotations, d.annotations) {
		t.ask(d.annotations, settings)
		t.quarantine = time.Time{}
		t.mayWrite()
	}
	if t.lost {
		t.mayWrite()
	}
	if t.awaited != "" && !older(d.version, t.awaited) {
		t.awaited = ""
	}
}

// sameAnnotations compares them.
func sameAnnotations(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// older compares resourceVersions, which grow with each change. What is no number is not older: waiting for it could
// last forever.
func older(version, than string) bool {
	a, errA := strconv.ParseUint(version, 10, 64)
	b, errB := strconv.ParseUint(than, 10, 64)
	return errA == nil && errB == nil && a < b
}

// ask parses the annotations. If they are invalid and were valid before, the last valid ones stay for raising only;
// unless the error is where their author may have meant to stop us.
func (a *asked) ask(annotations map[string]string, settings policy.Settings) {
	spec, problems := policy.Parse(annotations, settings)
	good := a.good
	*a = asked{good: good, problems: problems}
	switch {
	case len(problems) == 0:
		a.spec, a.good = &spec, &spec
	case good == nil:
		return
	case slices.ContainsFunc(problems, stops):
		a.spec, a.frozen = good, policy.InvalidAnnotations
	default:
		a.spec, a.raiseOnly = stand(good, &spec, annotations), policy.InvalidAnnotations
	}
	for _, s := range append(a.spec.Signals(), a.spec.Companions()...) {
		if _, custom := a.spec.Queries[s]; custom {
			a.custom = append(a.custom, s)
		} else {
			a.signals = append(a.signals, s)
		}
	}
	var group strings.Builder
	for _, s := range a.signals {
		group.WriteString(string(s))
		group.WriteByte(' ')
	}
	a.group = group.String()
}

// stopKeys are the annotations by which a person stops or bounds us.
var stopKeys = []string{"enabled", "paused", "dry-run", "min-replicas", "max-replicas"}

// stops reports whether a problem is with one of them.
func stops(p policy.Problem) bool {
	return slices.Contains(stopKeys, strings.TrimPrefix(p.Key, policy.Prefix))
}

// stand makes the Spec that stands in while other annotations are invalid: the last good one, with those by which a
// person stops or bounds us as they are now.
func stand(good, now *policy.Spec, annotations map[string]string) *policy.Spec {
	spec := *good
	given := func(name string) bool { _, ok := annotations[policy.Prefix+name]; return ok }
	if given("paused") {
		spec.Paused = now.Paused
	}
	if given("dry-run") {
		spec.DryRun = now.DryRun
	}
	if given("min-replicas") {
		spec.MinReplicas = now.MinReplicas
	}
	if given("max-replicas") {
		spec.MaxReplicas = now.MaxReplicas
	}
	return &spec
}

// blocked says why no decision can be made now, empty if one can.
func (t *target) blocked(now time.Time) string {
	switch {
	case t.writing:
		return "a write is under way"
	case t.awaited != "":
		return "the last write is not in the cache yet"
	case now.Before(t.quarantine):
		return "left alone after a panic until " + t.quarantine.UTC().Format(time.TimeOnly) + "Z"
	}
	return ""
}

// settle takes over what has become of a write.
func (t *target) settle(o *outcome, now time.Time) {
	t.writing = false
	switch o.result {
	case success:
		t.mayWrite()
		t.unsure = nil
		o.decision.Desired = o.replicas
		t.state = t.state.Wrote(o.decision, o.decision.Time)
		if older(t.seen.version, o.version) {
			t.awaited = o.version
		}
		return
	case dry, superseded, notLeader:
		return
	case unknown:
		t.unsure = o
	case conflict:
		t.lost = true
	}
	t.failures++
	t.retry = now.Add(max(o.after, backoff(o.result, t.failures)))
	t.writeProblem = fmt.Sprintf("the last write failed, the next is not tried before %sZ: %v", t.retry.UTC().Format(time.TimeOnly), o.err)
}

// mayWrite forgets about failed writes.
func (t *target) mayWrite() {
	t.failures, t.retry, t.writeProblem, t.lost = 0, time.Time{}, "", false
}

// resolve finds out from the cache what has become of a write without an answer. If it was made it counts, once.
func (t *target) resolve() {
	o := t.unsure
	if o == nil || t.seen.replicas == o.from {
		return
	}
	if t.seen.replicas == o.to {
		t.state = t.state.Wrote(o.decision, o.decision.Time)
	}
	t.unsure = nil
}

// firstPause is the pause after a first failure, by what became of the write. After a lost race the next write waits for
// the cache to show who won; the pause is for those that nobody won, such as a number that the API server refuses. Where a
// right is missing, only a person can help.
var firstPause = map[result]time.Duration{
	conflict:  30 * time.Second,
	forbidden: time.Minute,
	failed:    time.Minute,
	gone:      time.Minute,
	throttled: time.Second,
	unknown:   time.Second,
}

// longestPause bounds the pause between two attempts.
const longestPause = 5 * time.Minute

// backoff is how long to wait after so many failures in a row: twice as long after each.
func backoff(r result, failures int) time.Duration {
	return min(firstPause[r]<<min(failures-1, 16), longestPause)
}
