package controller

import (
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gpuscaler/gpuscaler/policy"
)

// asked is what the annotations ask for.
type asked struct {
	// spec is what counts, nil as long as the annotations have never been valid. good is the last valid one.
	spec, good *policy.Spec
	// valid are the annotations behind good.
	valid map[string]string
	// problems are the first of those that there are, and trouble is a digest of what they say, 0 if there are none.
	problems policy.Problems
	trouble  uint64
	// frozen and raiseOnly are what the problems forbid.
	frozen, raiseOnly policy.Reason
	// signals are to be read for all targets at once, custom ones by queries of this target's own.
	signals, custom []policy.Signal
	// timed are those of signals of which it matters now and then when the samples were taken.
	timed []policy.Signal
	// group is equal for targets that wait for the same signals.
	group string
}

// maxProblems is how many problems with the annotations of one Deployment are told.
const maxProblems = 20

// parser reads annotations.
type parser func(annotations map[string]string) (policy.Spec, policy.Problems)

// guarded makes a parser that takes a panic for an error in the annotation that stops us: nothing is written. Without it one
// Deployment could end the process again and again.
func (c *Controller) guarded(parse parser) parser {
	return func(annotations map[string]string) (spec policy.Spec, problems policy.Problems) {
		defer func() {
			if r := recover(); r != nil {
				c.metrics.panics.Inc()
				c.log.Error(fmt.Errorf("panic: %v", r), "Reading annotations failed", "annotations", annotations, "stack", string(debug.Stack()))
				const key = policy.Prefix + "enabled"
				problems = policy.Problems{{Key: key, Value: annotations[key], Message: fmt.Sprintf("cannot be obeyed: reading the annotations failed with a panic: %v", r)}}
			}
		}()
		return parse(annotations)
	}
}

// ask parses the annotations. If they are invalid and were valid before, the last valid ones stay for raising only;
// unless the error is where their author may have meant to stop us.
func (a *asked) ask(annotations map[string]string, parse parser) {
	spec, problems := parse(annotations)
	good := a.good
	*a = asked{good: good, valid: a.valid, problems: problems.First(maxProblems)}
	if len(problems) > 0 {
		text := fnv.New64a()
		_, _ = text.Write([]byte(a.problems.Error())) // never fails
		a.trouble = text.Sum64()
	}
	switch {
	case len(problems) == 0:
		a.spec, a.good, a.valid = &spec, &spec, annotations
	case good == nil:
		return
	case slices.ContainsFunc(problems, stops):
		a.spec, a.frozen = good, policy.InvalidAnnotations
	default:
		a.spec, a.raiseOnly = stand(good, &spec, annotations), policy.InvalidAnnotations
	}
	signals := append(a.spec.Signals(), a.spec.Companions()...)
	if a.spec.LeastBusy && !slices.Contains(signals, policy.RunningRequests) {
		signals = append(signals, policy.RunningRequests) // to tell who is busy
	}
	for _, s := range signals {
		if _, custom := a.spec.Queries[s]; custom {
			a.custom = append(a.custom, s)
		} else {
			a.signals = append(a.signals, s)
		}
	}
	a.timed = timedSignals(a.spec)
	var group strings.Builder
	for _, s := range a.signals {
		group.WriteString(string(s))
		group.WriteByte(' ')
	}
	a.group = group.String()
}

// recall parses annotations that were valid for another process before those of now, if these are not.
func (a *asked) recall(valid, now map[string]string, parse parser) {
	if a.good == nil && len(valid) > 0 {
		a.ask(valid, parse)
		a.ask(now, parse)
	}
}

// reclass takes over the administrator's classes if they have changed, and reports whether they have.
func (c *Controller) reclass() bool {
	if c.options.Classes == nil {
		return false
	}
	classes, changed := c.options.Classes()
	if changed {
		c.options.Settings.Classes = classes
	}
	return changed
}

// reclass forgets the annotations if they name a class, because they mean something else now: what is seen next is an edit.
func (t *target) reclass() {
	if t.seen == nil || t.seen.annotations[policy.Prefix+"class"] == "" {
		return
	}
	unread := *t.seen
	unread.annotations = nil
	t.seen = &unread
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
