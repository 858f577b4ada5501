package manifest

import (
	"fmt"
	"slices"

	"github.com/gpuscaler/gpuscaler/policy"
)

// advise returns warnings about annotations that are valid and likely not what was meant.
func (o *object) advise(spec *policy.Spec) []Finding {
	var findings []Finding
	warn := func(line int, key, value, message string) {
		findings = append(findings, o.finding(line, key, value, message, Warning))
	}
	if !o.has(policy.Prefix + "enabled") {
		warn(o.annotationsLine, policy.Prefix+"enabled", "", `is not given: the Deployment is not scaled until it is "true"`)
	}
	if o.replicasLine != 0 {
		warn(o.replicasLine, "spec.replicas", o.replicas, "would undo the scaling at every apply: leave the field out")
	}
	for _, a := range SignalAdvice(spec) {
		key := policy.Prefix + "target." + string(a.Signal)
		if steps := policy.Prefix + "steps." + string(a.Signal); !o.has(key) && o.has(steps) {
			key = steps
		}
		line, origin := o.place(key)
		warn(line, key, o.value(key), a.Message+origin)
	}
	return findings
}

// Advice is something to know about a signal that is asked for.
type Advice struct {
	Signal  policy.Signal
	Message string
}

// SignalAdvice tells what follows from the choice of signals, where that is likely not what was meant.
func SignalAdvice(spec *policy.Spec) []Advice {
	lowering := slices.ContainsFunc(spec.Targets, func(t policy.Target) bool { return !raiseOnly(t.Signal) }) ||
		slices.ContainsFunc(spec.Steps, func(s policy.Steps) bool { return !raiseOnly(s.Signal) })
	var list []Advice
	for _, signal := range spec.Signals() {
		if message := raiseOnlyAdvice(signal, lowering); message != "" {
			list = append(list, Advice{signal, message})
		}
	}
	return list
}

// raiseOnlyAdvice tells what follows from a signal that never lowers, empty if nothing does. Lowering says that another
// signal may lower.
func raiseOnlyAdvice(signal policy.Signal, lowering bool) string {
	const add = "add a signal that can, such as target.running-requests or target.gpu-utilization"
	switch {
	case signal == policy.GPUMemory && lowering:
		return "only raises: engines that preallocate memory never give it back"
	case signal == policy.GPUMemory:
		return "only raises, because engines that preallocate memory never give it back, and nothing else here lowers: " + add
	case signal == policy.KVCache && !lowering:
		return "never lowers, because an empty cache does not mean an empty queue, and nothing else here lowers: " + add
	}
	return ""
}

func raiseOnly(signal policy.Signal) bool {
	info, _ := signal.Info()
	return info.RaiseOnly
}

// has reports whether an annotation is given.
func (o *object) has(key string) bool {
	return slices.ContainsFunc(o.annotations, func(a annotation) bool { return a.key == key })
}

// value returns the value of an annotation, empty if it is not given.
func (o *object) value(key string) string {
	for i := range o.annotations {
		if o.annotations[i].key == key {
			return o.annotations[i].value
		}
	}
	return ""
}

// workloads are the kinds on which someone might expect the annotations to work.
var workloads = []string{"StatefulSet", "ReplicaSet", "ReplicationController", "DaemonSet", "Rollout", "LeaderWorkerSet", "Pod"}

// adviseOnPlaces returns warnings about keys of ours where nothing reads them. Where the Deployment has its annotations,
// further copies are no mistake: tools that annotate everything leave them.
func (o *object) adviseOnPlaces() []Finding {
	deployment := o.kind == "Deployment"
	if deployment && o.annotated() {
		return nil
	}
	var findings []Finding
	if slices.Contains(workloads, o.kind) {
		for i := range o.annotations {
			if a := &o.annotations[i]; a.ours() {
				findings = append(findings, o.finding(a.line, a.key, a.value, fmt.Sprintf("is on a %s: only Deployments are scaled", o.kind), Warning))
			}
		}
	}
	if deployment {
		for _, m := range o.misplaced {
			findings = append(findings, o.finding(m.line, m.key, "", "is among "+m.place+", where nothing reads it: move it to metadata.annotations of the Deployment", Warning))
		}
	}
	return findings
}
