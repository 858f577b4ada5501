package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Key is a row of the annotation table: what may be written, what it means, and how it is read. The documentation is made from it.
type Key struct {
	// Name is the key without the prefix; <signal> stands for the name of a signal.
	Name string
	// Form tells what values look like, Default what counts when the key is absent.
	Form, Default string
	// Meaning is a sentence.
	Meaning string
	// Allowed says which values it may have.
	Allowed Allowed
}

// Keys returns the annotation table.
func Keys() []Key { return slices.Clone(keys) }

const (
	// maxWindow, minPeriod and maxPeriod are HPA's limits (validation of stabilizationWindowSeconds and periodSeconds).
	maxWindow            = time.Hour
	minPeriod, maxPeriod = time.Second, 30 * time.Minute
	// maxDuration bounds all other durations: longer ones are typing errors.
	maxDuration = 7 * 24 * time.Hour
	// maxValue is the largest target or threshold.
	maxValue = maxReading / 1000
	// maxTolerance is a fraction.
	maxTolerance = 100
	maxPort      = 65535
)

var keys = []Key{
	{"enabled", `"true"`, "–", "opt in", oneOf(func(*Spec, string) {}, "true", "false")},
	{
		"class", "name", "–", "a named set of these keys; keys on the Deployment win",
		Allowed{Kind: ClassKind, read: func(*Spec, Signal, string) error { return nil }}, // resolved before the keys are read
	},
	{
		"min-replicas", "whole number", "1", "lower bound, enforced with or without metrics",
		wholeFrom(0, func(s *Spec) *int { return &s.MinReplicas }),
	},
	{
		"max-replicas", "whole number", "required", "upper bound, enforced with or without metrics",
		wholeFrom(1, func(s *Spec) *int { return &s.MaxReplicas }),
	},
	{
		"target.<signal>", "number in the signal's unit", "–", "target tracking: average per ready replica",
		Allowed{Kind: TargetKind, Most: maxValue, read: parseTarget},
	},
	{
		"steps.<signal>", `"<30:-1, >85:+2, >95:+50%"`, "–", "step scaling: the most extreme band that matches",
		Allowed{Kind: StepsKind, Most: maxValue, Parts: maxParts, read: parseSteps},
	},
	{
		"query.<signal>", "name of a query", "–", "a custom signal by a query that the administrator named",
		Allowed{Kind: QueryKind, read: parseQuery},
	},
	{
		"scale-up.stabilization", "duration", "0s", "as HPA stabilizationWindowSeconds",
		lasting(0, maxWindow, func(s *Spec) *time.Duration { return &s.ScaleUp.StabilizationWindow }),
	},
	{
		"scale-down.stabilization", "duration", "5m", "as HPA stabilizationWindowSeconds",
		lasting(0, maxWindow, func(s *Spec) *time.Duration { return &s.ScaleDown.StabilizationWindow }),
	},
	{
		"scale-up.policies", `"4 pods/15s, 100%/15s"`, `"4 pods/15s, 100%/15s"`, "as HPA policies",
		scalingPolicies(func(s *Spec) *[]ScalingPolicy { return &s.ScaleUp.Policies }),
	},
	{
		"scale-down.policies", `"100%/15s"`, `"100%/15s"`, "as HPA policies",
		scalingPolicies(func(s *Spec) *[]ScalingPolicy { return &s.ScaleDown.Policies }),
	},
	{
		"scale-up.select-policy", "max, min or disabled", "max", "as HPA selectPolicy",
		selecting(func(s *Spec) *SelectPolicy { return &s.ScaleUp.SelectPolicy }),
	},
	{
		"scale-down.select-policy", "max, min or disabled", "max", "as HPA selectPolicy",
		selecting(func(s *Spec) *SelectPolicy { return &s.ScaleDown.SelectPolicy }),
	},
	{
		"scale-up.tolerance", `"0.1" or "10%"`, "0.1", "as HPA tolerance",
		fraction(func(s *Spec) *float64 { return &s.ScaleUp.Tolerance }),
	},
	{
		"scale-down.tolerance", `"0.1" or "10%"`, "0.1", "as HPA tolerance",
		fraction(func(s *Spec) *float64 { return &s.ScaleDown.Tolerance }),
	},
	{
		"startup", "auto or duration", "auto", "how long a new replica takes to serve; auto learns it",
		lasting(time.Second, maxDuration, func(s *Spec) *time.Duration { return &s.Startup }).or("auto", func(*Spec) {}),
	},
	{
		"max-pending", "whole number or all", "all for capacity-wait, then 1", "unschedulable pods left waiting as a request for capacity",
		wholeFrom(0, (*Spec).pending).or("all", func(s *Spec) { *s.pending() = AllPending }),
	},
	{
		"capacity-wait", "duration", "15m", "how long a cluster autoscaler is given to add nodes",
		lasting(0, maxDuration, func(s *Spec) *time.Duration { return &s.CapacityWait }),
	},
	{
		"idle-after", "duration", "–", `with min-replicas "0": scale to zero when no work was seen for this long`,
		lasting(time.Second, maxDuration, func(s *Spec) *time.Duration { return &s.IdleAfter }),
	},
	{
		"activate-on", `"<signal> > 0"`, "–", "workload signal that wakes a Deployment from zero",
		Allowed{Kind: WakeKind, read: parseActivateOn},
	},
	{
		"schedule", `"Mon-Fri 08:00-20:00 Europe/Berlin min=4 max=16; Sat,Sun 22:00-06:00 UTC min=2"`, "–", "bounds by time",
		Allowed{Kind: ScheduleKind, Parts: maxParts, read: parseSchedule},
	},
	{
		"paused", `"true", "up" or "down"`, "–", "stop all, or stop one direction",
		Allowed{Kind: WordKind, Words: []string{"true", "up", "down", "false"}, read: parsePaused},
	},
	{"dry-run", `"true"`, "–", "decide, report, never write", oneOf(func(s *Spec, word string) { s.DryRun = word == "true" }, "true", "false")},
	{
		"override-hold", "duration", "10m", "how long a person's own change of replicas is respected",
		lasting(0, maxDuration, func(s *Spec) *time.Duration { return &s.OverrideHold }),
	},
	{
		"scale-down.order", "default or least-busy", "default", "which pods are removed first",
		oneOf(func(s *Spec, word string) { s.LeastBusy = word == "least-busy" }, "default", "least-busy"),
	},
	{
		"not-responding", "warn or stop", "warn", "what to do when adding replicas does not lower the signal; gpu-memory stops by default",
		oneOf(func(s *Spec, word string) { s.StopNotResponding, s.WarnNotResponding = word == "stop", word == "warn" }, "warn", "stop"),
	},
	{
		"scrape", `"8000/metrics"`, "–", "read engine signals straight from the pods at this port and path; the engine classes know theirs",
		Allowed{Kind: ScrapeKind, Least: 1, Most: maxPort, read: parseScrape},
	},
}

// parseTarget reads target.<signal>.
func parseTarget(s *Spec, signal Signal, value string) error {
	info, builtin := signal.Info()
	if builtin && !info.Targetable {
		return fmt.Errorf("cannot be a target, because latency does not fall in proportion when replicas rise: use %ssteps.%s", Prefix, signal)
	}
	limit, allowed := float64(maxValue), "a number above 0"
	if info.Max > 0 {
		limit, allowed = info.Max, fmt.Sprintf("a number above 0 and at most %v (%s)", info.Max, info.Unit)
	} else if info.Unit != "" {
		allowed += " (" + info.Unit + ")"
	}
	v, err := decimal(value)
	switch {
	case err != nil || !(v > 0 && v <= limit):
		return fmt.Errorf("is not allowed: give %s", allowed)
	case v < 0.001:
		return errors.New("is not allowed: targets are in whole thousandths, of which the smallest is 0.001")
	}
	s.Targets = append(s.Targets, Target{Signal: signal, Value: v})
	return nil
}

// parseQuery reads query.<signal>.
func parseQuery(s *Spec, signal Signal, value string) error {
	if _, builtin := signal.Info(); builtin {
		return fmt.Errorf("would replace the built-in signal %s: give the signal a name of its own", signal)
	}
	if !signal.IsName() {
		return fmt.Errorf("names the signal %q: allowed are lower-case letters, digits, - and _, at most 63, - and _ not at the ends", short(string(signal)))
	}
	if !isName(value) {
		return errors.New("is not the name of a query: allowed are lower-case letters, digits and -, at most 63; the query itself is defined by the administrator")
	}
	if s.Queries == nil {
		s.Queries = map[Signal]string{}
	}
	s.Queries[signal] = value
	return nil
}

// pending is where the number of max-pending goes.
func (s *Spec) pending() *int {
	if s.MaxPending == nil {
		s.MaxPending = new(int)
	}
	return s.MaxPending
}

// parseActivateOn reads "<signal> > 0".
func parseActivateOn(s *Spec, _ Signal, value string) error {
	name, threshold, found := strings.Cut(value, ">")
	name = strings.TrimSpace(name)
	if !found || strings.TrimSpace(threshold) != "0" || !Signal(name).IsName() {
		return errors.New(`is not allowed: give the name of a workload signal and "> 0", as in "gateway-queue > 0"`)
	}
	s.ActivateOn = Signal(name)
	return nil
}

func parsePaused(s *Spec, _ Signal, value string) error {
	switch value {
	case "true":
		s.Paused = Up | Down
	case "up":
		s.Paused = Up
	case "down":
		s.Paused = Down
	case "false":
	default:
		return errors.New(`is not allowed: give "true" (stop all), "up" or "down" (stop that direction)`)
	}
	return nil
}

// parseScrape reads PORT/PATH. There is no host: only the target's own pods are ever read.
func parseScrape(s *Spec, _ Signal, value string) error {
	const allowed = `is not allowed: give a port from 1 to 65535 and a path, as in "8000/metrics"`
	port, path, found := strings.Cut(value, "/")
	var n int
	if !found || whole(&n, port, 1) != nil || n > maxPort || !isPath(path) {
		return errors.New(allowed)
	}
	s.Scrape = Scrape{Port: n, Path: "/" + path}
	return nil
}
