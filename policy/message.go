package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Message tells the decision in a sentence for people: what was read, what it asks for, and what holds it.
func (d *Decision) Message() string {
	parts := make([]string, 0, 2+len(d.Notes))
	for _, text := range []string{d.asks(), d.held()} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	for _, n := range d.Notes {
		if !d.told(n.Reason) {
			parts = append(parts, n.Text)
		}
	}
	return strings.Join(parts, "; ")
}

// told reports whether the text of the reason says already what a note does.
func (d *Decision) told(note Reason) bool {
	switch d.Reason {
	case GaveBack:
		return note == UnschedulablePods
	case UnschedulablePods, CrashLoop, Conflict:
		return note == d.Reason
	}
	return false
}

// Leading returns the signal that asks for the recommended number, nil if none does. One that abstains leads only where all do.
func (d *Decision) Leading() *SignalDecision {
	var leading *SignalDecision
	best := 0
	for i := range d.Signals {
		s := &d.Signals[i]
		if s.Sampled == 0 || s.Recommended != d.Recommended.Replicas {
			continue
		}
		rank := 1
		if !s.Signal.raiseOnly() || s.Recommended > d.Current {
			rank += 2
		}
		if s.Reason == "" {
			rank++
		}
		if rank > best {
			leading, best = s, rank
		}
	}
	return leading
}

// asks tells what the leading signal reads and wants.
func (d *Decision) asks() string {
	s := d.Leading()
	if s == nil {
		return ""
	}
	reading := fmt.Sprintf("%s is %s for a target of %s", s.Signal, number(s.Value), number(s.Target))
	switch {
	case s.Target == 0 && s.perWorkload && d.Current == 0:
		return fmt.Sprintf("%s is %s", s.Signal, number(s.Value))
	case s.Target == 0:
		reading = fmt.Sprintf("%s is %s, %s", s.Signal, number(s.Value), s.bandText())
	}
	switch {
	case s.Reason == WithinTolerance && s.Missing > 0:
		reading += ", within tolerance with the missing pods counted as idle or at target"
	case s.Reason == WithinTolerance:
		reading += ", within tolerance"
	case s.abstains:
		reading += fmt.Sprintf(", and only raises: the %d there are stay", d.Current)
	case s.Recommended == d.Current:
		reading += fmt.Sprintf(", which asks for the %d there are", d.Current)
	default:
		reading += fmt.Sprintf(", which asks for %d instead of %d", s.Recommended, d.Current)
	}
	switch s.carrier {
	case "":
	case s.Signal:
		reading += ", as an empty queue alone removes one replica per scale-down window"
	default:
		reading += fmt.Sprintf(", as %s needs them", s.carrier)
	}
	if s.Missing > 0 {
		reading += fmt.Sprintf(" (%d of %d ready pods without a sample)", s.Missing, s.Missing+s.Sampled)
	}
	return reading
}

// bandText names the band that asks for a change.
func (s *SignalDecision) bandText() string {
	if s.steps == nil {
		return "in no band that may fire"
	}
	return "in the band " + s.steps.Bands[s.band].String()
}

// held tells what the reason of the decision does to the number, empty if nothing holds it.
func (d *Decision) held() string {
	text := d.reasonText()
	if text == "" {
		return ""
	}
	if !d.Until.IsZero() {
		text += " until " + d.Until.UTC().Format(time.TimeOnly) + "Z"
	}
	return text
}

// plainTexts are the reasons that are told in the same words whatever the numbers.
var plainTexts = map[Reason]string{
	CrashLoop:          "no pod of the newest template comes up",
	NotResponding:      "more replicas have not lowered it",
	Stalled:            "requests wait on all ready pods and no token comes",
	Override:           "a person set the replicas",
	ReplicasReset:      "the replicas were reset",
	Paused:             "paused by annotation",
	InvalidAnnotations: "the annotations are invalid",
}

// reasonText tells the reason in words.
func (d *Decision) reasonText() string {
	keeps := fmt.Sprintf("replicas stay at %d", d.Desired)
	if d.Desired != d.Current {
		keeps = fmt.Sprintf("replicas go to %d", d.Desired)
	}
	if text, plain := plainTexts[d.Reason]; plain {
		return text + ": " + keeps
	}
	if text := d.hpaText(keeps); text != "" {
		return text
	}
	return d.gpuText(keeps)
}

// hpaText tells the reasons that the HPA has too.
func (d *Decision) hpaText(keeps string) string {
	switch d.Reason {
	case ScaleDownStabilized:
		return keeps + " for the highest recommendation of the scale-down window"
	case ScaleUpStabilized:
		return keeps + " for the lowest recommendation of the scale-up window"
	case ScaleUpLimit, ScaleDownLimit:
		return fmt.Sprintf("the scaling policies allow %d now", d.Desired)
	case TooManyReplicas:
		return fmt.Sprintf("the maximum is %d", d.Desired)
	case TooFewReplicas:
		return fmt.Sprintf("the minimum is %d", d.Desired)
	case ScalingDisabled:
		return "scaling is disabled since spec.replicas is 0"
	}
	return ""
}

// gpuText tells the others.
func (d *Decision) gpuText(keeps string) string {
	switch d.Reason {
	case NoData, StaleData, PartialData:
		return d.missing() + ": " + keeps
	case Gap:
		return "after a gap in the data nothing is lowered before a full window of good data"
	case LoadingPods:
		if d.Fleet.Loading == 0 {
			return "the new pods have not shown yet what they carry: " + keeps
		}
		return fmt.Sprintf("%d on their way: %s", d.Fleet.Loading, keeps)
	case UnschedulablePods:
		return d.shortText() + ": " + keeps
	case GaveBack:
		return fmt.Sprintf("what waits is given back (%s): %s", d.shortText(), keeps)
	case Idle:
		if d.Current == 0 {
			return "no work is seen: replicas stay at 0"
		}
		return "no work has been seen for long enough: replicas go to 0"
	case Activated:
		return fmt.Sprintf("work is seen: replicas go to %d", d.Desired)
	case Scheduled:
		return fmt.Sprintf("the schedule sets a bound of %d", d.Desired)
	case Conflict:
		rival := d.rival
		if rival == "" {
			rival = "another autoscaler"
		}
		return fmt.Sprintf("%s changes the same replicas: %s", rival, keeps)
	}
	return ""
}

// missing tells which signals lack which samples.
func (d *Decision) missing() string {
	var parts []string
	for i := range d.Signals {
		s := &d.Signals[i]
		if text := s.missing(); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

// missing tells what is missing of one signal, empty if nothing that matters.
func (s *SignalDecision) missing() string {
	switch {
	case s.Reason == PartialData && s.Sampled > 0:
		return fmt.Sprintf("%s has samples of only %d of %d ready pods", s.Signal, s.Sampled, s.Sampled+s.Missing) + aside(s.Detail)
	case s.Reason != NoData && s.Reason != StaleData && s.Reason != PartialData:
		return ""
	}
	text := fmt.Sprintf("no usable sample of %s", s.Signal)
	switch {
	case s.Missing == 0 && s.Detail == "":
		return fmt.Sprintf("no pod is ready to be read for %s", s.Signal)
	case s.Reason == StaleData:
		text = fmt.Sprintf("all samples of %s are too old", s.Signal)
	}
	return text + aside(s.Detail)
}

// aside puts a detail in brackets, if there is one.
func aside(detail string) string {
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

// number prints a reading in at most three decimals, one below 1 in at most six.
func number(v float64) string {
	decimals := 3
	if v < 1 {
		decimals = 6
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
