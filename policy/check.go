package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// check finds what is wrong between keys.
func (p *parser) check() {
	p.checkBounds()
	p.checkSignals()
	p.checkActivation()
	p.checkSchedule()
}

func (p *parser) checkBounds() {
	_, given := p.given["max-replicas"]
	switch {
	case !given:
		p.refuse("max-replicas", "is required: a whole number of at least 1")
	case p.refused("max-replicas") || p.refused("min-replicas"):
	case p.spec.MinReplicas > p.spec.MaxReplicas:
		p.refuse(p.given1("min-replicas", "max-replicas"), fmt.Sprintf(
			"min-replicas %d is above max-replicas %d: min-replicas must not be above max-replicas", p.spec.MinReplicas, p.spec.MaxReplicas))
	}
}

// given1 returns the first of two keys that was given, else the second.
func (p *parser) given1(first, second string) string {
	if _, ok := p.given[first]; ok {
		return first
	}
	return second
}

func (p *parser) checkSignals() {
	slices.SortFunc(p.spec.Targets, func(a, b Target) int { return compareSignals(a.Signal, b.Signal) })
	slices.SortFunc(p.spec.Steps, func(a, b Steps) int { return compareSignals(a.Signal, b.Signal) })
	scaling := 0
	for name := range p.given {
		for _, stem := range []string{"target.", "steps."} {
			signal, ok := strings.CutPrefix(name, stem)
			if !ok {
				continue
			}
			scaling++
			p.checkSignal(name, Signal(signal))
		}
	}
	if scaling == 0 && !p.refused("class") {
		p.refuse("target.<signal>", "no signal at all: give at least one target.<signal> or steps.<signal>, or a class; signals are "+signalNames(true))
	}
	for signal, query := range p.spec.Queries {
		if p.settings.Queries != nil && !p.settings.Queries[query] {
			allowed := "none are defined"
			if len(p.settings.Queries) > 0 {
				allowed = "allowed are " + strings.Join(slices.Sorted(maps.Keys(p.settings.Queries)), ", ")
			}
			p.refuse("query."+string(signal), "is not a query that the administrator defined: "+allowed)
		}
	}
}

// checkSignal refuses a signal that does not exist.
func (p *parser) checkSignal(name string, signal Signal) {
	if _, builtin := signal.Info(); builtin || p.refused(name) {
		return
	}
	if _, custom := p.given["query."+string(signal)]; !custom {
		p.refuse(name, fmt.Sprintf("is for the unknown signal %q: allowed are %s, or a signal of your own with %s", short(string(signal)), signalNames(false), printable("query."+string(signal))))
	}
}

// compareSignals orders built-in signals as in the documentation, others after them by name.
func compareSignals(a, b Signal) int {
	rank := func(s Signal) int {
		i := slices.IndexFunc(signals, func(info SignalInfo) bool { return info.Signal == s })
		if i < 0 {
			return len(signals)
		}
		return i
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(string(a), string(b))
}

// signalNames lists the built-in signals, all or only those that may have a target.
func signalNames(targetable bool) string {
	var names []string
	for _, info := range signals {
		if info.Targetable || !targetable {
			names = append(names, string(info.Signal))
		}
	}
	return strings.Join(names, ", ")
}

func (p *parser) checkActivation() {
	if a := p.spec.ActivateOn; a != "" {
		_, builtin := a.Info()
		_, custom := p.spec.Queries[a]
		switch {
		case builtin:
			p.refuse("activate-on", fmt.Sprintf("must name a workload signal, and %s comes from the Deployment's pods, of which there are none then: give a signal of another name, with query.<signal> as the name of a query with one series", a))
		case !custom && !p.refused("query."+string(a)):
			p.refuse("activate-on", fmt.Sprintf("must name a workload signal, which does not come from the Deployment's pods: give query.%s, the name of a query with one series", a))
		}
	}
	if p.spec.MinReplicas != 0 || p.refused("min-replicas") {
		return
	}
	for _, needed := range []string{"idle-after", "activate-on"} {
		if _, given := p.given[needed]; !given {
			p.refuse("min-replicas", fmt.Sprintf("needs %s%s as well: without it nothing would bring the Deployment to zero and back", Prefix, needed))
		}
	}
}

// checkSchedule refuses spans under which the effective minimum is above the effective maximum. The bounds change only where a
// span begins or ends.
func (p *parser) checkSchedule() {
	if len(p.spec.Schedule) == 0 || p.refused("schedule") || p.refused("min-replicas") || p.refused("max-replicas") {
		return
	}
	for _, monday := range p.weeks() {
		for _, span := range p.spec.Schedule {
			for day := range 8 {
				start, end := span.on(monday.AddDate(0, 0, day))
				for _, t := range []time.Time{start, end} {
					if b := p.spec.bounds(t); b.minimum > b.maximum {
						p.refuse("schedule", fmt.Sprintf("makes the minimum %d and the maximum %d at %s: the minimum must not be above the maximum",
							b.minimum, b.maximum, t.In(span.Zone).Format("Mon 15:04 MST")))
						return
					}
				}
			}
		}
	}
}

// weeks returns the Mondays of the weeks of a year that differ. The offsets between time zones change with daylight saving, on other
// days in other zones, and by themselves on the day of the change.
func (p *parser) weeks() []time.Time {
	var mondays []time.Time
	known := map[string]bool{}
	for week := range 53 {
		monday := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 7*week)
		offsets := ""
		for _, span := range p.spec.Schedule {
			for _, day := range []int{-1, 8} { // from the day before the first span to the day after the last one
				_, offset := monday.AddDate(0, 0, day).In(span.Zone).Zone()
				offsets += fmt.Sprint(offset, " ")
			}
		}
		if !known[offsets] {
			known[offsets] = true
			mondays = append(mondays, monday)
		}
	}
	return mondays
}
