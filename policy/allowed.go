package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Kind is the form of the values of a key.
type Kind string

// The kinds. All but the first three are described by their reader.
const (
	WordKind      Kind = "word"
	WholeKind     Kind = "whole number"
	DurationKind  Kind = "duration"
	ClassKind     Kind = "class"
	ToleranceKind Kind = "tolerance"
	TargetKind    Kind = "target"
	StepsKind     Kind = "steps"
	QueryKind     Kind = "query"
	PoliciesKind  Kind = "policies"
	WakeKind      Kind = "activate-on"
	ScheduleKind  Kind = "schedule"
	ScrapeKind    Kind = "scrape"
)

// Allowed says which values a key may have. It reads them, and tells enough for others to refuse the same ones elsewhere.
type Allowed struct {
	Kind Kind
	// Words are allowed whatever the kind is; of a WordKind nothing else is.
	Words []string
	// Least and Most are the ends of a number; those of a duration, and of the period of a policy, are in nanoseconds.
	Least, Most int64
	// Parts is how many parts a list may have.
	Parts int

	read func(s *Spec, signal Signal, value string) error
}

// oneOf allows words only.
func oneOf(set func(s *Spec, word string), words ...string) Allowed {
	return Allowed{Kind: WordKind, Words: words, read: func(s *Spec, _ Signal, v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("is not allowed: give %s", strings.Join(words, " or "))
		}
		set(s, v)
		return nil
	}}
}

// wholeFrom allows whole numbers.
func wholeFrom(least int, to func(*Spec) *int) Allowed {
	return Allowed{Kind: WholeKind, Least: int64(least), Most: math.MaxInt32, read: func(s *Spec, _ Signal, v string) error {
		return whole(to(s), v, least)
	}}
}

// lasting allows durations.
func lasting(least, most time.Duration, to func(*Spec) *time.Duration) Allowed {
	return Allowed{Kind: DurationKind, Least: int64(least), Most: int64(most), read: func(s *Spec, _ Signal, v string) error {
		return duration(to(s), v, least, most)
	}}
}

// or allows a word beside the other values.
func (a Allowed) or(word string, set func(*Spec)) Allowed {
	others := a.read
	a.Words = append(a.Words, word)
	a.read = func(s *Spec, signal Signal, v string) error {
		if v == word {
			set(s)
			return nil
		}
		if err := others(s, signal, v); err != nil {
			return fmt.Errorf("%w; or %s", err, word)
		}
		return nil
	}
	return a
}

// fraction allows tolerances.
func fraction(to func(*Spec) *float64) Allowed {
	return Allowed{Kind: ToleranceKind, Most: maxTolerance, read: func(s *Spec, _ Signal, v string) error {
		return tolerance(to(s), v)
	}}
}

// scalingPolicies allows lists of policies.
func scalingPolicies(to func(*Spec) *[]ScalingPolicy) Allowed {
	return Allowed{Kind: PoliciesKind, Least: int64(minPeriod), Most: int64(maxPeriod), Parts: maxParts, read: func(s *Spec, _ Signal, v string) error {
		return policies(to(s), v)
	}}
}

// selecting allows the ways to choose among policies.
func selecting(to func(*Spec) *SelectPolicy) Allowed {
	policies := map[string]SelectPolicy{"max": MaxChange, "min": MinChange, "disabled": Disabled}
	return oneOf(func(s *Spec, word string) { *to(s) = policies[word] }, "max", "min", "disabled")
}
