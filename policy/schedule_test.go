package policy

import (
	"testing"
	"time"
)

func TestScheduleBounds(t *testing.T) {
	const workdays = "Mon-Fri 08:00-20:00 Europe/Berlin min=4 max=9; Sat,Sun 22:00-06:00 UTC min=2"
	for _, tt := range []struct {
		schedule, at     string
		minimum, maximum int
	}{
		{workdays, "2026-01-05T06:59:59Z", 1, 10}, // Monday 07:59:59 in Berlin; Sunday's night span has ended at 06:00
		{workdays, "2026-01-05T07:00:00Z", 4, 9},
		{workdays, "2026-01-05T18:59:59Z", 4, 9},
		{workdays, "2026-01-05T19:00:00Z", 1, 10}, // the end is exclusive
		{workdays, "2026-07-06T06:00:00Z", 4, 9},  // summer time: an hour earlier
		{workdays, "2026-01-05T05:00:00Z", 2, 10}, // Monday morning still belongs to Sunday's span
		{workdays, "2026-01-03T05:00:00Z", 1, 10}, // Saturday morning does not
		{workdays, "2026-01-03T22:00:00Z", 2, 10},
		{"Mon-Sun 00:00-24:00 UTC min=3; Wed 12:00-13:00 UTC min=5", "2026-01-07T12:30:00Z", 5, 10}, // the last listed wins
		{"Wed 12:00-13:00 UTC min=5; Mon-Sun 00:00-24:00 UTC min=3", "2026-01-07T12:30:00Z", 3, 10},
		{"Fri-Mon 00:00-24:00 UTC max=5", "2026-01-04T12:00:00Z", 1, 5}, // days go round the week
		{"Fri-Mon 00:00-24:00 UTC max=5", "2026-01-07T12:00:00Z", 1, 10},
		// 02:30 does not exist on 2026-03-29 in Berlin: it moves forward to 03:30, which is 01:30 UTC.
		{"Sun 02:30-05:00 Europe/Berlin min=2", "2026-03-29T01:29:59Z", 1, 10},
		{"Sun 02:30-05:00 Europe/Berlin min=2", "2026-03-29T01:30:00Z", 2, 10},
		// 02:30 comes twice on 2026-10-25: the first counts, 00:30 UTC.
		{"Sun 02:30-05:00 Europe/Berlin min=2", "2026-10-25T00:29:59Z", 1, 10},
		{"Sun 02:30-05:00 Europe/Berlin min=2", "2026-10-25T00:30:00Z", 2, 10},
		{"Sun 02:30-05:00 Europe/Berlin min=2", "2026-10-25T03:59:59Z", 2, 10},
		{"Sun 02:30-05:00 Europe/Berlin min=2", "2026-10-25T04:00:00Z", 1, 10},
	} {
		spec := mustParse(t, map[string]string{"max-replicas": "10", "target.queue-depth": "1", "schedule": tt.schedule})
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if b := spec.bounds(at); b.minimum != tt.minimum || b.maximum != tt.maximum {
			t.Errorf("%q at %s: %d to %d, want %d to %d", tt.schedule, tt.at, b.minimum, b.maximum, tt.minimum, tt.maximum)
		}
	}
}

// A maximum lowered by the schedule is approached by the scale-down policies; an edited one is a jump.
func TestScheduledMaximumIsApproached(t *testing.T) {
	annotations := map[string]string{
		"max-replicas": "10", "target.gpu-utilization": "50", "schedule": "Mon 08:00-12:00 UTC max=4", "scale-down.policies": "2 pods/15s",
	}
	w := world{spec: mustParse(t, annotations), replicas: 10, now: testStart}
	for i, want := range []int{8, 6, 4, 4} {
		if d := w.tick(w.seen(100)); d.Desired != want {
			t.Fatalf("tick %d: %d, want %d (%s)", i, d.Desired, want, d.Message())
		}
	}
	annotations["max-replicas"] = "4"
	delete(annotations, "schedule")
	w = world{spec: mustParse(t, annotations), replicas: 10, now: testStart}
	if d := w.tick(w.seen(100)); d.Desired != 4 {
		t.Errorf("an edited maximum: %d, want 4 at once", d.Desired)
	}
}

func TestScheduledMinimumIsAJump(t *testing.T) {
	w := world{replicas: 1, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "10", "target.gpu-utilization": "50", "schedule": "Mon 08:00-12:00 UTC min=6",
	})}
	if d := w.tick(w.seen(none)); d.Desired != 6 || d.Reason != Scheduled || !d.Until.Equal(testStart.Add(4*time.Hour)) {
		t.Errorf("%d %s until %s", d.Desired, d.Reason, d.Until)
	}
}

// A maximum that the schedule raises above max-replicas holds while the span lasts; when it ends, what is above is lowered by the
// scale-down policies. What is above every bound there ever is jumps.
func TestScheduledMaximumAboveMaxReplicas(t *testing.T) {
	spec := mustParse(t, map[string]string{
		"max-replicas": "4", "target.gpu-utilization": "50", "schedule": "Mon 07:00-08:01 UTC min=6 max=9", "scale-down.policies": "2 pods/15s",
	})
	w := world{spec: spec, replicas: 4, now: testStart}
	for i, want := range []int{6, 9, 9, 9, 7, 5, 4, 4} {
		if d := w.tick(w.seen(100)); d.Desired != want {
			t.Fatalf("tick %d: %d, want %d (%s)", i, d.Desired, want, d.Message())
		}
	}
	for at, want := range map[time.Time]int{testStart: 9, testStart.Add(time.Hour): 4} {
		w = world{spec: spec, replicas: 20, now: at}
		if d := w.tick(w.seen(100)); d.Desired != want {
			t.Errorf("20 replicas at %s: %d, want %d (%s)", at, d.Desired, want, d.Message())
		}
	}
}

// Bounds have precedence over the floors of missing data: they are enforced with or without metrics.
func TestScheduledMaximumNeedsNoMetrics(t *testing.T) {
	w := world{replicas: 10, now: testStart, spec: mustParse(t, map[string]string{
		"max-replicas": "10", "target.gpu-utilization": "50", "schedule": "Mon 08:00-12:00 UTC max=4", "scale-down.policies": "4 pods/15s",
	})}
	for i, want := range []struct {
		desired int
		reason  Reason
	}{{6, ScaleDownLimit}, {4, Scheduled}, {4, NoData}} {
		if d := w.tick(w.seen(none)); d.Desired != want.desired || d.Reason != want.reason {
			t.Errorf("tick %d: %d %s, want %d %s (%s)", i, d.Desired, d.Reason, want.desired, want.reason, d.Message())
		}
	}
}

// Spans in two time zones may overlap only in the weeks between their changes to daylight saving.
func TestScheduleContradictsItselfInSomeWeeks(t *testing.T) {
	for _, schedule := range []string{
		"Mon 08:00-09:00 America/New_York min=5; Mon 13:00-14:00 Europe/Berlin max=3",       // in March and October
		"Sun 00:00-01:00 Europe/London min=5; Sun 12:00-14:00 Pacific/Auckland max=3",       // in summer and winter
		"Sun 01:00-03:30 America/New_York min=5; Sun 16:30-16:45 Australia/Lord_Howe max=3", // half an hour of daylight saving
		"Mon-Sun 00:00-24:00 UTC max=4; Sat 23:00-24:00 Asia/Kolkata min=5",                 // always
		"Mon-Sun 00:00-24:00 UTC min=2; Sun 02:30-03:30 America/New_York max=1",             // on most Sundays
		"Mon-Sun 00:00-24:00 UTC min=11",
	} {
		annotations := map[string]string{Prefix + "max-replicas": "10", Prefix + "target.queue-depth": "1", Prefix + "schedule": schedule}
		if _, problems := Parse(annotations, Settings{}); problems == nil {
			t.Errorf("%q is accepted", schedule)
		}
	}
	mustParse(t, map[string]string{
		"max-replicas": "10", "target.queue-depth": "1", "schedule": "Mon 08:00-09:00 America/New_York min=5; Mon 17:00-18:00 Europe/Berlin max=3",
	})
}
