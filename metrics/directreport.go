package metrics

import (
	"fmt"
	"net/netip"
	"strings"
)

// asking is one pod or agent in a report.
type asking struct {
	name   string // with its address
	failed *failure
}

// problem says what failed: the commonest kind of failure with one that it happened to, and how many others there are.
func problem(what string, all []asking) (failed int, text string) {
	var counts [failureKinds]int
	for _, a := range all {
		if a.failed != nil {
			failed++
			counts[a.failed.kind]++
		}
	}
	if failed == 0 {
		return 0, ""
	}
	var common *asking
	for i := range all {
		if f := all[i].failed; f != nil && (common == nil || counts[f.kind] > counts[common.failed.kind]) {
			common = &all[i]
		}
	}
	text = fmt.Sprintf("%d of %d %s could not be read: %s: %s", failed, len(all), what, common.name, common.failed.what)
	if alike := counts[common.failed.kind] - 1; alike > 0 {
		text += fmt.Sprintf(", and %d others alike", alike)
	}
	if others := failed - counts[common.failed.kind]; others > 0 {
		text += fmt.Sprintf(", and %d otherwise", others)
	}
	return failed, text + "; " + common.failed.hint
}

// report tells how the pods answered.
func (s *directTarget) report(r *DirectReading, t DirectTarget, busy int) {
	if t.Port == 0 {
		return
	}
	var all []asking
	for _, pod := range t.Pods {
		p := s.pods[pod.Name]
		if p.trial.failed != nil || p.asked.Equal(p.wanted) {
			name := "pod " + pod.Name
			if p.address.IsValid() {
				name += " (" + p.address.String() + ")"
			}
			all = append(all, asking{name, p.trial.failed})
		}
	}
	r.Sampled = len(all)
	r.Failed, r.Problem = problem("pods", all)
	if r.Problem == "" && busy > 0 {
		r.Problem = fmt.Sprintf("%d of %d pods were not asked: too many others answer slowly; raise --interval", busy, len(t.Pods))
	}
}

// reportAgents tells how the agents answered, in the order of the pods.
func reportAgents(r *DirectReading, t DirectTarget, agents map[netip.AddrPort]*directAgent) {
	var all []asking
	told := map[*directAgent]bool{}
	for _, pod := range t.Pods {
		if a := agents[pod.Agent]; a != nil && !told[a] {
			told[a] = true
			all = append(all, asking{"the agent at " + a.address.String(), forAgent(a.failure())})
		}
	}
	r.Agents = len(all)
	r.AgentsFailed, r.AgentProblem = problem("NVML agents", all)
}

// forAgent replaces advice that is about an annotation, which agents do not have.
func forAgent(f *failure) *failure {
	if f == nil || !strings.Contains(f.hint, "gpuscaler.io/scrape") {
		return f
	}
	return &failure{f.kind, f.what, nextToAgent}
}

// nextToAgent is what to do when something else than an agent answers, or nothing.
const nextToAgent = "check what listens there: gpuscaler's nvml-agent does on port 9401"
