package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/manifest"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// judgeWorkload judges one Deployment.
func judgeWorkload(f *findings, w *WorkloadFacts, facts *Facts) {
	judgeAnnotations(f, w)
	judgeHands(f, w)
	judgeCapacity(f, w)
	if !w.OptedIn {
		return
	}
	judgeDirect(f, w, facts)
	for i := range w.Readings {
		r := &w.Readings[i]
		judgeReading(f, w, r, facts)
		judgePast(f, w, r)
	}
	if !facts.Prometheus.None && facts.Prometheus.Err == nil { // it tells who shares, and what DCGM exports
		judgeSharing(f, w)
	}
}

// judgeAnnotations judges what the Deployment asks for.
func judgeAnnotations(f *findings, w *WorkloadFacts) {
	for _, p := range w.Problems {
		f.add(Error, Annotations, "", p.Error(), "correct it; `gpuscaler check` finds the same in the manifest. Until then the Deployment is not scaled, or raised only")
	}
	switch {
	case w.Refused:
		f.add(Info, Annotations, "", `it is not scaled: gpuscaler.io/enabled is "false"`, "")
	case !w.OptedIn:
		f.add(Warning, Annotations, "", "it is not scaled: it does not ask to be", `annotate it with gpuscaler.io/enabled: "true"`)
	case w.Spec != nil:
		judgeSpec(f, w)
	}
}

// judgeSpec judges what valid annotations ask for.
func judgeSpec(f *findings, w *WorkloadFacts) {
	for _, a := range manifest.SignalAdvice(w.Spec) {
		severity := Warning
		if lowers(w.Spec) {
			severity = Info // another signal lowers: it works as it should
		}
		f.add(severity, Annotations, string(a.Signal), a.Message, "")
	}
	switch {
	case w.Spec.Paused != 0:
		f.add(Info, Annotations, "", "it is paused by annotation", "")
	case w.Spec.DryRun:
		f.add(Info, Annotations, "", "it has the annotation dry-run: nothing is written", "")
	}
	f.add(OK, Annotations, "", fmt.Sprintf("valid: %d to %d replicas, by %s", w.Spec.MinReplicas, w.Spec.MaxReplicas, signalsOf(w.Spec)), "")
}

// lowers reports whether any signal may lower the replicas.
func lowers(spec *policy.Spec) bool {
	return slices.ContainsFunc(spec.Signals(), func(s policy.Signal) bool {
		info, _ := s.Info()
		return !info.RaiseOnly && s != spec.ActivateOn
	})
}

func signalsOf(spec *policy.Spec) string {
	var names []string
	for _, s := range spec.Signals() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// sourcesOf lists what a signal is looked for as.
func sourcesOf(signal policy.Signal) string {
	var names []string
	for _, s := range metrics.Sources(signal) {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}

// judgeHands judges who else sets the replicas.
func judgeHands(f *findings, w *WorkloadFacts) {
	if w.Rival != "" {
		f.add(Error, OtherScalers, "", w.Rival+" scales the Deployment too: nothing is written beside it",
			"delete one of the two: `kubectl delete` the other autoscaler, or remove gpuscaler.io/enabled here")
	}
	switch {
	case w.SetsReplicas != "":
		tool := ""
		if w.GitOps != "" {
			tool = ", and " + w.GitOps + " manages the Deployment"
		}
		f.add(Warning, ReplicasOwner, "", fmt.Sprintf("%s sets spec.replicas%s: each apply resets what was scaled", w.SetsReplicas, tool), hints(w.GitOps))
	case w.GitOps != "":
		f.add(OK, ReplicasOwner, "", w.GitOps+" manages the Deployment and leaves spec.replicas alone", "")
	}
}

// hints says how a tool is told to leave the replicas alone.
func hints(tool string) string {
	const remove = "take spec.replicas out of the manifest"
	if strings.Contains(tool, "Argo CD") {
		return remove + ", or list /spec/replicas under ignoreDifferences with RespectIgnoreDifferences=true"
	}
	return remove
}

// judgeCapacity judges whether max-replicas can be reached.
func judgeCapacity(f *findings, w *WorkloadFacts) {
	for _, q := range w.Quotas {
		f.add(Warning, Quota, "", q, "raise the quota or lower max-replicas: pods beyond it are never made")
	}
	for _, r := range w.Ranges {
		f.add(Error, LimitRange, "", r, "raise the limit range or lower what the pods request: they are refused")
	}
	if w.Spec == nil || !w.OptedIn {
		return
	}
	wanted := w.Spec.MaxReplicas
	switch {
	case len(w.GPURequests) == 0:
		f.add(Info, GPUs, "", "its pods request no GPU", "")
	case strings.HasPrefix(w.Unknown, "no node offers"):
		f.add(Warning, GPUs, "", w.Unknown+", which its pods request", "add such nodes; with a cluster autoscaler that starts from zero nodes that is as it should be")
	case w.Unknown != "":
		f.add(Info, GPUs, "", "how many more of its pods fit is not known: "+w.Unknown, "")
	case w.Placed+w.Free < wanted:
		f.add(Warning, GPUs, "", fmt.Sprintf("max-replicas is %d, but %d placed pods and room for %d more make %d (%s each)",
			wanted, w.Placed, w.Free, w.Placed+w.Free, requestsOf(w.GPURequests)), "lower max-replicas, or see that nodes can be added")
	default:
		f.add(OK, GPUs, "", fmt.Sprintf("max-replicas %d fits: %d placed pods and room for %d more (%s each)",
			wanted, w.Placed, w.Free, requestsOf(w.GPURequests)), "")
	}
}

// requestsOf renders requests in a fixed order.
func requestsOf(requests map[string]int64) string {
	var list []string
	for name, n := range requests {
		list = append(list, fmt.Sprintf("%d %s", n, name))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
