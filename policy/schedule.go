package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Span is a stretch of time that comes back every week and sets bounds.
type Span struct {
	// Days are those on which it starts, by time.Weekday.
	Days [7]bool `json:"days"`
	// Start and End are minutes since local midnight; an End at or before Start is on the next day. End is exclusive.
	Start int            `json:"start"`
	End   int            `json:"end"`
	Zone  *time.Location `json:"-"` // by its name: see MarshalJSON
	// Min and Max are the bounds it sets, -1 for one that it leaves alone.
	Min int `json:"min"`
	Max int `json:"max"`
}

// bounds are the bounds of one moment.
type bounds struct {
	minimum, maximum int
	// highest is the highest maximum that there is at any time.
	highest int
	// scheduledMin and scheduledMax say that the bound comes from the schedule, until when that lasts.
	scheduledMin, scheduledMax time.Time
}

// Bounds returns the least and the most replicas of a moment, as annotations and schedule ask for them.
func (s *Spec) Bounds(now time.Time) (least, most int) {
	b := s.bounds(now)
	return b.minimum, b.maximum
}

// bounds returns what the bounds are now: the last listed span that matches wins, per bound.
func (s *Spec) bounds(now time.Time) bounds {
	b := bounds{minimum: s.MinReplicas, maximum: s.MaxReplicas, highest: s.MaxReplicas}
	for i := range s.Schedule {
		span := &s.Schedule[i]
		b.highest = max(b.highest, span.Max)
		end, ok := span.contains(now)
		if !ok {
			continue
		}
		if span.Min >= 0 {
			b.minimum, b.scheduledMin = span.Min, end
		}
		if span.Max >= 0 {
			b.maximum, b.scheduledMax = span.Max, end
		}
	}
	return b
}

// lower is the lower bound as a stage. A minimum of 0 is for scaling to zero, which has conditions of its own: while running,
// the minimum is 1.
func (b *bounds) lower() Stage {
	if !b.scheduledMin.IsZero() && b.minimum > 1 {
		return Stage{Replicas: b.minimum, Reason: Scheduled, Until: b.scheduledMin}
	}
	return Stage{Replicas: max(b.minimum, 1), Reason: TooFewReplicas}
}

// upper is the upper bound as a stage.
func (b *bounds) upper() Stage {
	if !b.scheduledMax.IsZero() {
		return Stage{Replicas: b.maximum, Reason: Scheduled, Until: b.scheduledMax}
	}
	return Stage{Replicas: b.maximum, Reason: TooManyReplicas}
}

// contains reports whether a moment lies in the span, and when the span ends.
func (s *Span) contains(now time.Time) (end time.Time, ok bool) {
	today := now.In(s.Zone)
	for _, day := range [2]time.Time{today, today.AddDate(0, 0, -1)} {
		if !s.Days[day.Weekday()] {
			continue
		}
		if start, end := s.on(day); !now.Before(start) && now.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// on returns the span that starts on a day.
func (s *Span) on(day time.Time) (start, end time.Time) {
	y, m, d := day.Date()
	start = instant(y, m, d, s.Start, s.Zone)
	if s.End <= s.Start {
		d++
	}
	return start, instant(y, m, d, s.End, s.Zone)
}

// instant returns the moment of a local time. A local time that daylight saving skips moves forward, one that it repeats is the
// first of the two: time.Date leaves both open.
func instant(y int, m time.Month, d, minutes int, zone *time.Location) time.Time {
	naive := time.Date(y, m, d, 0, minutes, 0, 0, time.UTC)
	at := func(reference time.Time) time.Time {
		_, offset := reference.In(zone).Zone()
		return naive.Add(-time.Duration(offset) * time.Second).In(zone)
	}
	before := at(naive.AddDate(0, 0, -1)) // with the offset of the day before
	if sameClock(before, naive) {
		return before
	}
	if after := at(naive.AddDate(0, 0, 1)); sameClock(after, naive) {
		return after
	}
	return before
}

// sameClock reports whether two times show the same day and minute on their own clocks.
func sameClock(a, b time.Time) bool {
	const layout = "2006-01-02 15:04"
	return a.Format(layout) == b.Format(layout)
}

// parseSchedule reads "Mon-Fri 08:00-20:00 Europe/Berlin min=4 max=16; Sat,Sun 22:00-06:00 UTC min=2".
func parseSchedule(s *Spec, _ Signal, value string) error {
	parts := strings.Split(strings.TrimSuffix(strings.TrimSpace(value), ";"), ";")
	if len(parts) > maxParts {
		return fmt.Errorf("has %d spans: at most %d are allowed", len(parts), maxParts)
	}
	for _, part := range parts {
		span, err := parseSpan(part)
		if err != nil {
			return fmt.Errorf("has the span %q: %w", short(strings.TrimSpace(part)), err)
		}
		s.Schedule = append(s.Schedule, span)
	}
	return nil
}

// parseSpan reads "Mon-Fri 08:00-20:00 Europe/Berlin min=4 max=16".
func parseSpan(text string) (Span, error) {
	span := Span{Min: -1, Max: -1}
	fields := strings.Fields(text)
	if len(fields) < 4 {
		return span, errors.New(`give days, times, a time zone and a bound, as in "Mon-Fri 08:00-20:00 Europe/Berlin min=4"`)
	}
	if err := span.parseDays(fields[0]); err != nil {
		return span, err
	}
	if err := span.parseTimes(fields[1]); err != nil {
		return span, err
	}
	zone, err := time.LoadLocation(fields[2])
	if err != nil || fields[2] == "Local" {
		return span, fmt.Errorf("unknown time zone %q: give a name of the IANA database such as Europe/Berlin, or UTC", short(fields[2]))
	}
	span.Zone = zone
	for _, field := range fields[3:] {
		if err := span.parseBound(field); err != nil {
			return span, err
		}
	}
	return span, nil
}

var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// parseDays reads "Mon-Fri" or "Sat,Sun".
func (s *Span) parseDays(text string) error {
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, to := weekday(first), weekday(last)
		if !isRange {
			to = from
		}
		if from < 0 || to < 0 {
			return fmt.Errorf("unknown days %q: give Mon, Tue, Wed, Thu, Fri, Sat, Sun, ranges as Mon-Fri and lists as Sat,Sun", short(part))
		}
		for d := from; ; d = (d + 1) % 7 {
			s.Days[d] = true
			if d == to {
				break
			}
		}
	}
	return nil
}

// weekday returns the number of a day by its short name, -1 if it is none.
func weekday(name string) int {
	for i, w := range weekdays {
		if strings.EqualFold(w, name) {
			return i
		}
	}
	return -1
}

// parseTimes reads "08:00-20:00".
func (s *Span) parseTimes(text string) error {
	start, end, _ := strings.Cut(text, "-")
	var ok1, ok2 bool
	s.Start, ok1 = minutes(start)
	s.End, ok2 = minutes(end)
	if !ok1 || !ok2 || s.Start == 24*60 || s.Start == s.End {
		return fmt.Errorf("wrong times %q: give two different ones from 00:00 to 24:00, as in 08:00-20:00", short(text))
	}
	return nil
}

// minutes reads "08:00" as minutes since midnight.
func minutes(text string) (int, bool) {
	if text == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}

// parseBound reads "min=4" or "max=16".
func (s *Span) parseBound(text string) error {
	name, value, _ := strings.Cut(text, "=")
	bound, least := &s.Min, 0
	switch name {
	case "min":
	case "max":
		bound, least = &s.Max, 1
	default:
		return fmt.Errorf("unknown bound %q: give min=N or max=N", short(text))
	}
	if *bound >= 0 {
		return fmt.Errorf("%s is given twice", name)
	}
	if err := whole(bound, value, least); err != nil {
		return fmt.Errorf("%s %q %w", name, short(value), err)
	}
	return nil
}
