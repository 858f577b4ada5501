package dashboard

import (
	"strconv"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// meanings are the reasons that hold nothing, in words.
var meanings = map[policy.Reason]string{
	policy.DesiredWithinRange: "the signals ask for the replicas that are there",
	policy.WithinTolerance:    "the signal is close enough to its target",
	policy.ReadyForNewScale:   "the signals ask for a change, and nothing holds it",
	policy.SuccessfulRescale:  "the replicas were changed",
}

// meaning tells any reason in words.
func meaning(r policy.Reason) string {
	if text := chart.Meaning(r); text != "" {
		return text
	}
	return meanings[r]
}

// holders say in a word or two what holds, for each family of reasons.
var holders = map[chart.Family]string{
	chart.Data: "by missing data", chart.Capacity: "by capacity", chart.Limits: "by its limits", chart.Others: "by others",
}

// number prints a reading: three digits are enough to look at.
func number(v float64) string {
	decimals := 0
	for limit := 100.0; v < limit && decimals < 3; limit /= 10 {
		decimals++
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// instant is a time as it is shown, and as machines read it.
type instant struct{ Text, Machine string }

// clock shows a time of a day, with the day if it is not that of now. The zero time is nil.
func clock(t, now time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	text := t.Format(time.TimeOnly)
	if day := t.Format(time.DateOnly); day != now.UTC().Format(time.DateOnly) {
		text = day + " " + text
	}
	return &instant{text + " UTC", t.Format(time.RFC3339)}
}

// lasted shows how long something lasted: "45s", "12m", "3h 5m".
func lasted(d time.Duration) string {
	d = d.Round(time.Second)
	switch h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60; {
	case h > 0:
		return strings.TrimSuffix(strconv.Itoa(h)+"h "+strconv.Itoa(m)+"m", " 0m")
	case m > 0:
		return strings.TrimSuffix(strconv.Itoa(m)+"m "+strconv.Itoa(s)+"s", " 0s")
	default:
		return strconv.Itoa(s) + "s"
	}
}

// count prints a number of things: "1 workload", "3 workloads".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
