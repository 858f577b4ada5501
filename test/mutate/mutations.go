package main

import "slices"

// mutation takes one rule of the policy away, or a part of it.
type mutation struct {
	// rule is its number in the list of rules, 0 for what precedes them all.
	rule int
	// name tells what the policy does wrong then.
	name string
	// file of the policy has old exactly once, and new in its place. In new, N in `mutant == N` stands for the number of the mutation.
	file, old, new string
	// scenario is the golden one that must notice.
	scenario string
}

var mutations = slices.Concat(ofPrecedence, ofData, ofCapacity, ofEffect, ofHands, ofZero, ofBands, ofBacklog)

// ofData are those of rules 1 and 2: missing is not zero, and a gap starts the window anew.
var ofData = []mutation{
	{
		1, "half of the data lowers", "guard.go",
		"g.raiseFloor(Stage{Replicas: seen.Replicas, Reason: t.reason})",
		"if mutant != N { g.raiseFloor(Stage{Replicas: seen.Replicas, Reason: t.reason}) }",
		"partial-data",
	},
	{
		1, "missing pods count as idle when lowering", "recommend.go",
		"t.sum += int64(t.missing) * target",
		"if mutant != N { t.sum += int64(t.missing) * target }",
		"partial-data",
	},
	{
		2, "a gap is forgotten at once", "guard.go",
		"end := s.gapOver(spec); now.Before(end)",
		"end := s.gapOver(spec); mutant != N && now.Before(end)",
		"prometheus-outage",
	},
	{
		2, "a short outage is a gap", "guard.go",
		"now.Sub(s.BadSince) > spec.longestLapse()",
		"(mutant == N || now.Sub(s.BadSince) > spec.longestLapse())",
		"prometheus-outage",
	},
}

// ofCapacity are those of rules 3 to 5: what is on its way, what has no place, and what crashes.
var ofCapacity = []mutation{
	{
		3, "loading pods count for nothing", "recommend.go",
		"n += t.missing + t.loading",
		"n += t.missing; if mutant != N { n += t.loading }",
		"overdue",
	},
	{
		3, "a raise on utilization does not wait for the last one", "recommend.go",
		"s.Recommended > d.Current && d.waits(",
		"s.Recommended > d.Current && mutant != N && d.waits(",
		"loading-pods",
	},
	{
		3, "no pod is ever overdue", "fleet.go",
		"float64(now.Sub(p.Scheduled)) >= overdueFactor*float64(f.Startup)",
		"mutant != N && float64(now.Sub(p.Scheduled)) >= overdueFactor*float64(f.Startup)",
		"overdue",
	},
	{
		3, "restarts cost no credit", "fleet.go",
		"p.Restarts >= maxCreditedRestarts",
		"mutant != N && p.Restarts >= maxCreditedRestarts",
		"dead-registry",
	},
	{
		3, "every overdue pod is answered at once", "recommend.go",
		"replicas += min(t.overdue, s.overdueAnswered())",
		"if mutant == N { replicas += t.overdue } else { replicas += min(t.overdue, s.overdueAnswered()) }",
		"dead-registry",
	},
	{
		3, "no overdue pod is answered", "recommend.go",
		"if ratio > 1 && filled > 1 && !s.tolerates(filled) {",
		"if mutant != N && ratio > 1 && filled > 1 && !s.tolerates(filled) {",
		"overdue",
	},
	{
		3, "startups are not learned", "decide.go",
		"state.Startups = state.Startups.learn(seen.Started)",
		"if mutant != N { state.Startups = state.Startups.learn(seen.Started) }",
		"startup-learned",
	},
	{
		4, "replicas without a place count as capacity", "recommend.go",
		"d.Current-d.Fleet.Unschedulable-t.stalled, 1)",
		"d.Current-d.Fleet.Unschedulable-t.stalled, map[bool]int{true: d.Current - t.stalled}[mutant == N], 1)",
		"gave-back",
	},
	{
		4, "nobody looks for free places", "pending.go",
		"case seen.FreeKnown:",
		"case mutant != N && seen.FreeKnown:",
		"max-pending",
	},
	{
		4, "max-pending is no limit", "pending.go",
		"case s.MaxPending != nil:",
		"case mutant != N && s.MaxPending != nil:",
		"max-pending",
	},
	{
		4, "capacity-wait never ends", "pending.go",
		"now.Sub(short.Since) < s.CapacityWait",
		"(mutant == N || now.Sub(short.Since) < s.CapacityWait)",
		"capacity-wait",
	},
	{
		4, "all that is missing is tried again without a pause", "pending.go",
		"case f.Unschedulable == 0 && !now.Before(s.Until):",
		"case f.Unschedulable == 0 && (mutant == N || !now.Before(s.Until)):",
		"capacity-wait",
	},
	{
		4, "what nobody needs is not given back", "pending.go",
		"case f.Unschedulable > 0 && !short.Enough.IsZero()",
		"case mutant != N && f.Unschedulable > 0 && !short.Enough.IsZero()",
		"gave-back",
	},
	{
		4, "it is given back within a tick", "pending.go",
		"now.Sub(short.Enough) >= enoughFor",
		"(mutant == N || now.Sub(short.Enough) >= enoughFor)",
		"gave-back",
	},
	{
		5, "crash loops are fed", "guard.go",
		`if seen.CrashLoop != "" {`,
		`if mutant != N && seen.CrashLoop != "" {`,
		"crash-loop",
	},
	{
		5, "pods beyond spec.replicas count in a rollout", "recommend.go",
		"if seen.Rollout {",
		"if mutant != N && seen.Rollout {",
		"rollout",
	},
}

// ofEffect are those of rule 6: what does not help is not added.
var ofEffect = []mutation{
	{
		6, "raises without effect go on", "response.go",
		"return s.Deaf.Raises >= 2,",
		"return mutant != N && s.Deaf.Raises >= 2, mutant != N &&",
		"not-responding",
	},
	{
		6, "one raise without effect is enough", "response.go",
		"case s.Deaf.Signal == sd.Signal:",
		"case mutant == N: s.Deaf = Deafness{Signal: sd.Signal, Raises: 2, Loaded: loaded}\n\tcase s.Deaf.Signal == sd.Signal:",
		"not-responding",
	},
	{
		6, "more load is no excuse", "response.go",
		"if loaded && load > loadNoise*trial.Load {",
		"if mutant != N && loaded && load > loadNoise*trial.Load {",
		"not-responding-rising",
	},
	{
		6, "gpu-memory is raised without effect", "response.go",
		"return s.Deaf.Raises >= 1,",
		"return mutant != N && s.Deaf.Raises >= 1, mutant != N &&",
		"gpu-memory-pinned",
	},
}
