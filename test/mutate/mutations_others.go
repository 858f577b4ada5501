package main

// ofPrecedence are those of what precedes the rules.
var ofPrecedence = []mutation{
	{
		0, "a floor gives way to a ceiling", "guard.go",
		"case replicas > ceiling.Replicas && g.floor.Replicas > ceiling.Replicas:",
		"case mutant != N && replicas > ceiling.Replicas && g.floor.Replicas > ceiling.Replicas:",
		"floor-and-ceiling",
	},
	{
		0, "paused does not stop lowering", "decide.go",
		"change < 0 && spec.Paused&Down != 0",
		"mutant != N && change < 0 && spec.Paused&Down != 0",
		"paused",
	},
	{
		0, "paused does not stop raising", "decide.go",
		"change > 0 && spec.Paused&Up != 0",
		"mutant != N && change > 0 && spec.Paused&Up != 0",
		"paused-all",
	},
}

// ofHands are those of rules 7 and 8: others' hands are seen, and nothing is forgotten.
var ofHands = []mutation{
	{
		7, "a person's raise is no floor", "guard.go",
		"g.raiseFloor(stage)",
		"if mutant != N { g.raiseFloor(stage) }",
		"override-raise",
	},
	{
		7, "a person's lowering is no ceiling", "guard.go",
		"g.lowerCeiling(stage)",
		"if mutant != N { g.lowerCeiling(stage) }",
		"override-lower",
	},
	{
		7, "override-hold never ends", "hands.go",
		"now.Before(o.Until)",
		"(now.Before(o.Until) || mutant == N && !o.Until.IsZero())",
		"override-raise",
	},
	{
		7, "a person's number is above the bounds", "guard.go",
		"min(o.Replicas, b.maximum)",
		"map[bool]int{false: min(o.Replicas, b.maximum), true: o.Replicas}[mutant == N]",
		"override-bounds",
	},
	{
		7, "a person's zero is woken", "idle.go",
		"case !state.ourZero(spec, seen):",
		"case mutant != N && !state.ourZero(spec, seen):",
		"override-zero",
	},
	{
		7, "a reset downwards stays", "decide.go",
		"case restored > seen.Replicas:",
		"case mutant != N && restored > seen.Replicas:",
		"gitops-reset",
	},
	{
		7, "a reset upwards stays", "guard.go",
		"restored > 0 && restored < seen.Replicas",
		"mutant != N && restored > 0 && restored < seen.Replicas",
		"gitops-reset",
	},
	{
		7, "resets are fought for ever", "hands.go",
		"if len(h.Resets) < maxResets {",
		"if mutant == N || len(h.Resets) < maxResets {",
		"gitops-reset",
	},
	{
		7, "another autoscaler is fought", "decide.go",
		`case seen.Frozen != "":`,
		`case mutant != N && seen.Frozen != "":`,
		"conflict",
	},
	{
		7, "another autoscaler stops dry-run", "decide.go",
		"case change == 0:",
		"case mutant == N && seen.Rival != \"\": reason = Conflict\n\tcase change == 0:",
		"conflict-dry-run",
	},
	{
		8, "a checkpoint has no windows and budgets in it", "state.go",
		"// Lasted returns",
		"func (s State) MarshalJSON() ([]byte, error) {\n\ttype plain State\n\tp := plain(s)\n" +
			"\tif mutant == N { p.Newest, p.Past, p.Events = Recommendation{}, nil, nil }\n\treturn mutantJSON(p)\n}\n\n// Lasted returns",
		"failover",
	},
	{
		8, "without a checkpoint it lowers at once", "decide.go",
		"state.seed(seen.Replicas, now)",
		"if mutant != N { state.seed(seen.Replicas, now) }",
		"first-window",
	},
}

// ofZero are those of rule 9.
var ofZero = []mutation{
	{
		9, "the last replica goes without idle-after", "idle.go",
		"now.Sub(s.IdleSince) >= spec.IdleAfter",
		"(mutant == N || now.Sub(s.IdleSince) >= spec.IdleAfter)",
		"scale-to-zero",
	},
	{
		9, "the last replica never goes", "idle.go",
		"return b.minimum == 0 &&",
		"return mutant != N && b.minimum == 0 &&",
		"scale-to-zero",
	},
	{
		9, "a minimum of 0 holds while running", "schedule.go",
		"return Stage{Replicas: max(b.minimum, 1), Reason: TooFewReplicas}",
		"if mutant == N { return Stage{Replicas: b.minimum, Reason: TooFewReplicas} }\n\treturn Stage{Replicas: max(b.minimum, 1), Reason: TooFewReplicas}",
		"scale-to-zero",
	},
	{
		9, "absence of data is idleness", "idle.go",
		"case s.incomplete() || s.Missing > 0 || s.Sampled+s.Idle == 0:",
		"case mutant != N && (s.incomplete() || s.Missing > 0 || s.Sampled+s.Idle == 0):",
		"idle-without-data",
	},
	{
		9, "activation does not ask how much work there is", "idle.go",
		"if s.Target > 0 {",
		"if mutant != N && s.Target > 0 {",
		"scale-to-zero",
	},
	{
		9, "who is created at 0 is never woken", "hands.go",
		"return spec.MinReplicas == 0",
		"return mutant != N && spec.MinReplicas == 0",
		"created-at-zero",
	},
}

// ofBands are those of rules 10 and 11.
var ofBands = []mutation{
	{
		10, "the least extreme band wins", "steps.go",
		"case (a.Threshold < b.Threshold) != a.Above:",
		"case (a.Threshold < b.Threshold) != (a.Above != (mutant == N)):",
		"steps",
	},
	{
		10, "a band includes its threshold", "steps.go",
		"b.Above && value > b.Threshold",
		"b.Above && (value > b.Threshold || mutant == N && value == b.Threshold)",
		"steps",
	},
	{
		10, "a percentage is rounded towards zero", "steps.go",
		"math.Ceil(math.Abs(share))",
		"map[bool]float64{false: math.Ceil(math.Abs(share)), true: math.Floor(math.Abs(share))}[mutant == N]",
		"steps",
	},
	{
		10, "a step does not wait for its pods", "steps.go",
		"if i < 0 {",
		"if mutant == N || i < 0 {",
		"steps",
	},
	{
		11, "the schedule is not looked at", "schedule.go",
		"b.highest = max(b.highest, span.Max)",
		"if mutant == N { break }\n\t\tb.highest = max(b.highest, span.Max)",
		"schedule",
	},
	{
		11, "a span ends at midnight", "schedule.go",
		"if !s.Days[day.Weekday()] {",
		"if !s.Days[day.Weekday()] || mutant == N && day != today {",
		"schedule",
	},
	{
		11, "daylight saving does not begin", "schedule.go",
		"if sameClock(before, naive) {",
		"if mutant == N || sameClock(before, naive) {",
		"schedule",
	},
	{
		11, "a lowered maximum is reached at once", "guard.go",
		"d.Limited = d.lowered(g.scheduled, spec, state, now)",
		"if mutant == N { d.Limited = g.scheduled } else { d.Limited = d.lowered(g.scheduled, spec, state, now) }",
		"schedule",
	},
}

// ofBacklog are those of rule 12.
var ofBacklog = []mutation{
	{
		12, "a backlog is answered again at each tick", "backlog.go",
		"case s.Recommended > current && t.loading > 0:",
		"case mutant != N && s.Recommended > current && t.loading > 0:",
		"backlog",
	},
	{
		12, "an empty queue lowers as far as it likes", "backlog.go",
		"case s.Recommended < current:",
		"case mutant != N && s.Recommended < current:",
		"backlog",
	},
	{
		12, "an empty queue alone is not held to one replica per window", "backlog.go",
		"needed, by = current, s.Signal",
		"needed, by = current, s.Signal; if mutant == N { needed = s.Recommended }",
		"backlog-alone",
	},
	{
		12, "a pod that hangs counts", "stall.go",
		"return i >= 0 && now.Sub(s.Stuck[i].Time) >= stallAfter",
		"return mutant != N && i >= 0 && now.Sub(s.Stuck[i].Time) >= stallAfter",
		"hang",
	},
	{
		12, "a pod that hangs is one of those that are needed", "recommend.go",
		"if t.stalled > 0 {",
		"if mutant != N && t.stalled > 0 {",
		"hang",
	},
	{
		12, "requests that wait for a moment are a hang", "stall.go",
		"since := now\n",
		"since := now; if mutant == N { since = since.Add(-stallAfter) }\n",
		"hang",
	},
	{
		12, "raising goes on when all pods hang", "stall.go",
		"func (s *State) stalled(pod string, now time.Time) bool {",
		"func (s *State) stalled(pod string, now time.Time) bool {\n\tif mutant == N { return false }",
		"all-hang",
	},
	{
		12, "a rate of 0 is idleness", "tally.go",
		"case ok && m == 0 && reading.Signal.isRate() &&",
		"case mutant != N && ok && m == 0 && reading.Signal.isRate() &&",
		"rates-zero",
	},
	{
		12, "a rate of 0 is idleness where nobody knows the queue", "stall.go",
		"if m, ok := r.at(i, spec, now); !ok || m != 0 {",
		"if m, ok := r.at(i, spec, now); mutant != N && !ok || m != 0 {",
		"rates-zero",
	},
}
