package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// meanings are the reasons in words.
var meanings = map[policy.Reason]string{
	policy.ScaleDownStabilized: "the highest recommendation of the scale-down window counts",
	policy.ScaleUpStabilized:   "the lowest recommendation of the scale-up window counts",
	policy.ScaleUpLimit:        "the scale-up policies allow no more now",
	policy.ScaleDownLimit:      "the scale-down policies allow no less now",
	policy.TooManyReplicas:     "the maximum",
	policy.TooFewReplicas:      "the minimum",
	policy.DesiredWithinRange:  "it is the number there is",
	policy.ReadyForNewScale:    "nothing stands against it",
	policy.ScalingDisabled:     "scaling is disabled since spec.replicas is 0",
	policy.SuccessfulRescale:   "written",
	policy.WithinTolerance:     "within tolerance of the target",
	policy.NoData:              "a signal has no usable sample: missing is not zero",
	policy.PartialData:         "too few pods have samples to lower, or the reply was incomplete",
	policy.StaleData:           "all samples of a signal are too old",
	policy.Gap:                 "after a gap in the data nothing is lowered before a full window of good data",
	policy.LoadingPods:         "pods on their way are waited for",
	policy.Overdue:             "pods should be Ready by now",
	policy.UnschedulablePods:   "no more pods find a place",
	policy.GaveBack:            "pods that wait for a place are given back",
	policy.CrashLoop:           "no pod of the newest template comes up, so it gets no more of them",
	policy.NotResponding:       "more replicas have not lowered the signal",
	policy.Stalled:             "requests wait on all ready pods and no token comes",
	policy.Conflict:            "another autoscaler or manager changes the same replicas",
	policy.Override:            "a person set the replicas",
	policy.ReplicasReset:       "the replicas were reset by an apply, and are restored",
	policy.Paused:              "paused by annotation",
	policy.Scheduled:           "a bound of the schedule",
	policy.Idle:                "no work is seen",
	policy.Activated:           "work is seen",
	policy.DryRun:              "nothing is written in a dry run",
	policy.InvalidAnnotations:  "the annotations are invalid",
}

// Meaning returns a reason in words.
func Meaning(r policy.Reason) string {
	if text, ok := meanings[r]; ok {
		return text
	}
	return string(r)
}

// replicas counts them in words.
func replicas(n int) string { return counted(n, "replica") }

// counted is a number with a noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// listed joins names as people do.
func listed[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	if n := len(texts); n > 1 {
		return strings.Join(texts[:n-1], ", ") + " and " + texts[n-1]
	}
	return strings.Join(texts, "")
}

// clock is a time of day in UTC.
func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly) + "Z" }

// span is a duration in words, rounded to seconds, or to a tenth below ten of them.
func span(d time.Duration) string {
	if d < 10*time.Second {
		return number(d.Round(100*time.Millisecond).Seconds()) + " s"
	}
	if d = d.Round(time.Second); d < time.Minute {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-2]
	}
	return strings.Replace(text, "h0m", "h", 1)
}

// number prints a reading in at most three decimals.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'f', 3, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
