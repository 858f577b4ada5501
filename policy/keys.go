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

	parse func(s *Spec, signal Signal, value string) error
}

// Keys returns the annotation table.
func Keys() []Key { return slices.Clone(keys) }

const (
	// maxWindow and maxPeriod are HPA's limits (validation of stabilizationWindowSeconds and periodSeconds).
	maxWindow = time.Hour
	maxPeriod = 30 * time.Minute
	// maxDuration bounds all other durations: longer ones are typing errors.
	maxDuration = 7 * 24 * time.Hour
)

var keys = []Key{
	{
		"enabled", `"true"`, "–", "opt in",
		func(_ *Spec, _ Signal, v string) error { return oneOf(v, "true", "false") },
	},
	{
		"class", "name", "–", "a named set of these keys; keys on the Deployment win",
		func(*Spec, Signal, string) error { return nil }, // resolved before the keys are read
	},
	{
		"min-replicas", "whole number", "1", "lower bound, enforced with or without metrics",
		func(s *Spec, _ Signal, v string) error { return whole(&s.MinReplicas, v, 0) },
	},
	{
		"max-replicas", "whole number", "required", "upper bound, enforced with or without metrics",
		func(s *Spec, _ Signal, v string) error { return whole(&s.MaxReplicas, v, 1) },
	},
	{"target.<signal>", "number in the signal's unit", "–", "target tracking: average per ready replica", parseTarget},
	{"steps.<signal>", `"<30:-1, >85:+2, >95:+50%"`, "–", "step scaling: the most extreme band that matches", parseSteps},
	{"query.<signal>", "name of a query", "–", "a custom signal by a query that the administrator named", parseQuery},
	{
		"scale-up.stabilization", "duration", "0s", "as HPA stabilizationWindowSeconds",
		func(s *Spec, _ Signal, v string) error {
			return duration(&s.ScaleUp.StabilizationWindow, v, 0, maxWindow)
		},
	},
	{
		"scale-down.stabilization", "duration", "5m", "as HPA stabilizationWindowSeconds",
		func(s *Spec, _ Signal, v string) error {
			return duration(&s.ScaleDown.StabilizationWindow, v, 0, maxWindow)
		},
	},
	{
		"scale-up.policies", `"4 pods/15s, 100%/15s"`, `"4 pods/15s, 100%/15s"`, "as HPA policies",
		func(s *Spec, _ Signal, v string) error { return policies(&s.ScaleUp.Policies, v) },
	},
	{
		"scale-down.policies", `"100%/15s"`, `"100%/15s"`, "as HPA policies",
		func(s *Spec, _ Signal, v string) error { return policies(&s.ScaleDown.Policies, v) },
	},
	{
		"scale-up.select-policy", "max, min or disabled", "max", "as HPA selectPolicy",
		func(s *Spec, _ Signal, v string) error { return selectPolicy(&s.ScaleUp.SelectPolicy, v) },
	},
	{
		"scale-down.select-policy", "max, min or disabled", "max", "as HPA selectPolicy",
		func(s *Spec, _ Signal, v string) error { return selectPolicy(&s.ScaleDown.SelectPolicy, v) },
	},
	{
		"scale-up.tolerance", `"0.1" or "10%"`, "0.1", "as HPA tolerance",
		func(s *Spec, _ Signal, v string) error { return tolerance(&s.ScaleUp.Tolerance, v) },
	},
	{
		"scale-down.tolerance", `"0.1" or "10%"`, "0.1", "as HPA tolerance",
		func(s *Spec, _ Signal, v string) error { return tolerance(&s.ScaleDown.Tolerance, v) },
	},
	{"startup", "auto or duration", "auto", "how long a new replica takes to serve; auto learns it", parseStartup},
	{"max-pending", "whole number or all", "all for capacity-wait, then 1", "unschedulable pods left waiting as a request for capacity", parseMaxPending},
	{
		"capacity-wait", "duration", "15m", "how long a cluster autoscaler is given to add nodes",
		func(s *Spec, _ Signal, v string) error { return duration(&s.CapacityWait, v, 0, maxDuration) },
	},
	{
		"idle-after", "duration", "–", `with min-replicas "0": scale to zero when no work was seen for this long`,
		func(s *Spec, _ Signal, v string) error { return duration(&s.IdleAfter, v, time.Second, maxDuration) },
	},
	{"activate-on", `"<signal> > 0"`, "–", "workload signal that wakes a Deployment from zero", parseActivateOn},
	{"schedule", `"Mon-Fri 08:00-20:00 Europe/Berlin min=4 max=16; Sat,Sun 22:00-06:00 UTC min=2"`, "–", "bounds by time", parseSchedule},
	{"paused", `"true", "up" or "down"`, "–", "stop all, or stop one direction", parsePaused},
	{
		"dry-run", `"true"`, "–", "decide, report, never write",
		func(s *Spec, _ Signal, v string) error {
			s.DryRun = v == "true"
			return oneOf(v, "true", "false")
		},
	},
	{
		"override-hold", "duration", "10m", "how long a person's own change of replicas is respected",
		func(s *Spec, _ Signal, v string) error { return duration(&s.OverrideHold, v, 0, maxDuration) },
	},
	{
		"scale-down.order", "default or least-busy", "default", "which pods are removed first",
		func(s *Spec, _ Signal, v string) error {
			s.LeastBusy = v == "least-busy"
			return oneOf(v, "default", "least-busy")
		},
	},
	{
		"not-responding", "warn or stop", "warn", "what to do when adding replicas does not lower the signal; gpu-memory stops by default",
		func(s *Spec, _ Signal, v string) error {
			s.StopNotResponding, s.WarnNotResponding = v == "stop", v == "warn"
			return oneOf(v, "warn", "stop")
		},
	},
	{"scrape", `"8000/metrics"`, "–", "read engine signals straight from the pods at this port and path; the engine classes know theirs", parseScrape},
}

// parseTarget reads target.<signal>.
func parseTarget(s *Spec, signal Signal, value string) error {
	info, builtin := signal.Info()
	if builtin && !info.Targetable {
		return fmt.Errorf("cannot be a target, because latency does not fall in proportion when replicas rise: use %ssteps.%s", Prefix, signal)
	}
	limit, allowed := maxReading/1000, "a number above 0"
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

func parseStartup(s *Spec, _ Signal, value string) error {
	if value == "auto" {
		return nil
	}
	if err := duration(&s.Startup, value, time.Second, maxDuration); err != nil {
		return fmt.Errorf("%w; or auto", err)
	}
	return nil
}

func parseMaxPending(s *Spec, _ Signal, value string) error {
	n := AllPending
	s.MaxPending = &n
	if value == "all" {
		return nil
	}
	if err := whole(&n, value, 0); err != nil {
		return fmt.Errorf("%w, or all", err)
	}
	return nil
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
	if !found || whole(&n, port, 1) != nil || n > 65535 || !isPath(path) {
		return errors.New(allowed)
	}
	s.Scrape = Scrape{Port: n, Path: "/" + path}
	return nil
}
