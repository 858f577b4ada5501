package dashboard

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// row is a workload as it is shown.
type row struct {
	Namespace, Name string
	// Path leads from the first page to that of the workload.
	Path             string
	Badge            badge
	Current, Desired int
	Bounds, Pods     string
	GPUs             int
	Room             string
	Signal           *reading
	Reason           policy.Reason
	Meaning, Message string
	Until            *instant
	DryRun           bool
	Problems         []string
}

// rowOf shows a workload as of a tick.
func rowOf(w *Workload, now time.Time) row {
	d := w.Decision
	r := row{
		Namespace: w.Namespace, Name: w.Name, Path: "workloads/" + url.PathEscape(w.Namespace) + "/" + url.PathEscape(w.Name),
		Badge: badgeOf(w, stateOf(w, now)), Current: d.Current, Desired: d.Desired, Pods: pods(w), GPUs: w.GPUs,
		Reason: d.Reason, Meaning: meaning(d.Reason), Message: sentence(w.Message()), Until: clock(d.Until, now),
		DryRun: w.DryRun,
	}
	if w.Spec != nil {
		lowest, highest := w.Spec.Bounds(now)
		r.Bounds = fmt.Sprintf("%d to %d", lowest, highest)
	}
	switch {
	case w.FreeKnown && w.Free == 0:
		r.Room = "no room for more"
	case w.FreeKnown:
		r.Room = fmt.Sprintf("room for %d more", w.Free)
	}
	if s := leading(d); s != nil {
		shown := readingOf(s)
		r.Signal = &shown
	}
	if len(w.Problems) > 0 {
		r.Reason, r.Meaning, r.Until = policy.InvalidAnnotations, meaning(policy.InvalidAnnotations), nil
	}
	for _, p := range w.Problems {
		r.Problems = append(r.Problems, p.Error())
	}
	return r
}

// pods tells what the pods are worth.
func pods(w *Workload) string {
	parts := []string{fmt.Sprintf("%d ready", w.Ready)}
	if w.Loading > 0 {
		parts = append(parts, fmt.Sprintf("%d loading", w.Loading))
	}
	if w.Unschedulable > 0 {
		parts = append(parts, fmt.Sprintf("%d without a GPU", w.Unschedulable))
	}
	return strings.Join(parts, ", ")
}

// sentence begins with a capital letter.
func sentence(text string) string {
	if text == "" || text[0] < 'a' || text[0] > 'z' || strings.Contains(strings.SplitN(text, " ", 2)[0], "-") {
		return text // what begins with the name of a signal keeps it as it is
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// leading is the signal that matters most: the one that asks for the replicas, else the first there is.
func leading(d *policy.Decision) *policy.SignalDecision {
	if s := d.Leading(); s != nil {
		return s
	}
	if len(d.Signals) > 0 {
		return &d.Signals[0]
	}
	return nil
}

// reading is a signal as it is shown: a bar on which the target has a mark, and the same in words.
type reading struct {
	Name, Value, Target, Unit string
	// Known says that there is a value, Bar that there is a target to draw it against: Width and Mark are percent of the bar.
	Known, Bar, Over bool
	Width, Mark      string
	Recommended      int
	Missing          int
	Reason           policy.Reason
	Detail, Source   string
	// Age tells how old its samples are; Lacks names pods without one.
	Age   string
	Lacks string
}

// beyond is how far the bar of a signal without a range goes beyond its target.
const beyond = 1.5

// readingOf shows a signal.
func readingOf(s *policy.SignalDecision) reading {
	r := reading{
		Name: string(s.Signal), Recommended: s.Recommended, Missing: s.Missing, Reason: s.Reason, Detail: s.Detail, Source: s.Source,
		Known: s.Sampled > 0,
	}
	info, builtIn := s.Signal.Info()
	if builtIn {
		r.Unit = info.Unit
	}
	if r.Known {
		r.Value = number(s.Value)
	}
	if s.Target <= 0 {
		return r
	}
	r.Target, r.Bar = number(s.Target), true
	end := s.Target * beyond
	if info.Max > 0 {
		end = info.Max
	}
	r.Mark = percent(s.Target / end)
	if r.Known {
		r.Width, r.Over = percent(s.Value/end), s.Value > s.Target
	}
	return r
}

// percent prints a share, at most the whole.
func percent(share float64) string { return fmt.Sprintf("%.1f", 100*min(max(share, 0), 1)) }
