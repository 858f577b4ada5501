package policy

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Input is everything that a decision is made from. It can be written down as JSON and read back, and gives the same Decision:
// durations are in nanoseconds, as Go has them.
type Input struct {
	Time  time.Time   `json:"time"`
	Spec  Spec        `json:"spec"`
	State State       `json:"state"`
	Seen  Observation `json:"seen"`
}

// Decide decides.
func (in *Input) Decide() (Decision, State) { return Decide(in.Spec, in.State, in.Seen, in.Time) }

// Clone copies what an Observation is made of, so that the memory behind it may be used again.
func (o *Observation) Clone() Observation {
	var c Observation
	o.CloneInto(&c)
	return c
}

// CloneInto is Clone into memory that is used again. What no reading can be, such as NaN, becomes a missing sample, which it counts
// as and which JSON can tell.
func (o *Observation) CloneInto(c *Observation) {
	pods, started, readings := c.Pods[:0], c.Started[:0], c.Readings
	*c = *o
	c.Pods, c.Started = append(pods, o.Pods...), append(started, o.Started...)
	c.Readings = slices.Grow(readings[:0], len(o.Readings))[:len(o.Readings)]
	for i := range o.Readings {
		samples := c.Readings[i].Samples[:0]
		c.Readings[i] = o.Readings[i]
		r := &c.Readings[i]
		r.Workload = r.Workload.finite()
		r.Samples = samples
		for _, s := range o.Readings[i].Samples {
			r.Samples = append(r.Samples, s.finite())
		}
	}
}

// finite makes a sample whose value is no number a missing one.
func (s Sample) finite() Sample {
	if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
		return Sample{Idle: s.Idle}
	}
	return s
}

// words are the values of an enumeration in words, in their order.
type words[E ~uint8] []string

// of returns the word of a value.
func (w words[E]) of(e E) string {
	if int(e) < len(w) {
		return w[e]
	}
	return fmt.Sprint(uint8(e))
}

// parse finds the value of a word.
func (w words[E]) parse(to *E, text []byte) error {
	i := slices.Index(w, string(text))
	if i < 0 {
		return fmt.Errorf("%q is not allowed: give one of %q", short(string(text)), []string(w))
	}
	*to = E(i)
	return nil
}

var (
	handKinds          = words[HandKind]{"nobody", "gpuscaler", "person", "reset", "creator"}
	scalingPolicyTypes = words[ScalingPolicyType]{"Pods", "Percent"}
	selectPolicies     = words[SelectPolicy]{"Max", "Min", "Disabled"}
	directions         = words[Direction]{"", "up", "down", "both"}
)

// MarshalText writes the phase in words.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads it.
func (p *Phase) UnmarshalText(text []byte) error { return phases.parse(p, text) }

// MarshalText writes whose hand it was in a word.
func (h HandKind) MarshalText() ([]byte, error) { return []byte(handKinds.of(h)), nil }

// UnmarshalText reads it.
func (h *HandKind) UnmarshalText(text []byte) error { return handKinds.parse(h, text) }

// MarshalText writes the type as the HPA does.
func (p ScalingPolicyType) MarshalText() ([]byte, error) {
	return []byte(scalingPolicyTypes.of(p)), nil
}

// UnmarshalText reads it.
func (p *ScalingPolicyType) UnmarshalText(text []byte) error {
	return scalingPolicyTypes.parse(p, text)
}

// MarshalText writes the policy as the HPA does.
func (p SelectPolicy) MarshalText() ([]byte, error) { return []byte(selectPolicies.of(p)), nil }

// UnmarshalText reads it.
func (p *SelectPolicy) UnmarshalText(text []byte) error { return selectPolicies.parse(p, text) }

// MarshalText writes the direction in words.
func (d Direction) MarshalText() ([]byte, error) { return []byte(directions.of(d)), nil }

// UnmarshalText reads it.
func (d *Direction) UnmarshalText(text []byte) error { return directions.parse(d, text) }

// zonedSpan is a Span with the name of its time zone.
type zonedSpan struct {
	plainSpan
	Zone string `json:"zone"`
}

type plainSpan Span

// MarshalJSON writes the time zone by its name.
func (s Span) MarshalJSON() ([]byte, error) {
	return json.Marshal(zonedSpan{plainSpan(s), s.Zone.String()})
}

// UnmarshalJSON reads it.
func (s *Span) UnmarshalJSON(text []byte) error {
	var z zonedSpan
	if err := json.Unmarshal(text, &z); err != nil {
		return err
	}
	zone, err := time.LoadLocation(z.Zone)
	if err != nil {
		return fmt.Errorf("time zone %q: %w", short(z.Zone), err)
	}
	*s = Span(z.plainSpan)
	s.Zone = zone
	return nil
}
