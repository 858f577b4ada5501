package controller

import (
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/gpuscaler/gpuscaler/policy"
)

// historyBudget is how many bytes the past decisions of all targets may take together. Each target has an equal share, so that a
// restless one costs the others nothing.
const historyBudget = 32 << 20

// leastStretches are kept in any case.
const leastStretches = 2

// Record is a stretch of ticks whose decision was the same in all but the readings.
type Record struct {
	// Input is what the first of them was made from. It is nil where the annotations let nothing be decided, and of all but the latest
	// where so many workloads share the memory that there is no room for it.
	Input *policy.Input `json:"input,omitempty"`
	// Decision is the first of them.
	Decision policy.Outcome `json:"decision"`
	// Last is the time of the last of them, Ticks how many there were.
	Last  time.Time `json:"last"`
	Ticks int       `json:"ticks"`
}

// History is what is kept of one workload's past decisions.
type History struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Time is that of the last tick.
	Time time.Time `json:"time"`
	// Records are the stretches, oldest first. The last one goes on.
	Records []Record `json:"records"`
	// Latest is the last tick alone, nil before the first decision.
	Latest *Record `json:"latest,omitempty"`
}

// History returns what is kept of the decisions since a time. A stretch that began before it and lasted until after it is among them.
func (w *Workload) History(since time.Time) History {
	h := History{Namespace: w.Namespace, Name: w.Name, Records: []Record{}}
	if w.history == nil {
		return h
	}
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	for _, s := range w.history.stretches {
		if !s.last.Before(since) {
			h.Records = append(h.Records, s.record())
		}
	}
	if latest := &w.history.latest; latest.ticks > 0 {
		record := latest.record()
		h.Latest, h.Time = &record, record.Last
	}
	return h
}

// history keeps the past of one target. The tick writes to it, and whoever serves a request reads it.
type history struct {
	mu sync.Mutex
	// stretches are oldest first.
	stretches []*stretch
	// latest is the last tick, whose memory is used again for the next.
	latest stretch
	// bytes is about how much the stretches take, without the latest.
	bytes int
	trace trace
}

// stretch is a Record as it is kept. The latest one shares its decision with the Snapshot, and the State with the one before.
type stretch struct {
	input    *input // nil if there was no room for it
	decision *policy.Decision
	last     time.Time
	ticks    int
}

// input is what a decision was made from. Pods are kept as the cache has them: they are shared, and never change.
type input struct {
	spec   *policy.Spec // nil if nothing was seen
	before *policy.State
	seen   policy.Observation // without its Pods
	pods   []*pod
}

// fill makes a stretch of one tick, in its own memory.
func (s *stretch) fill(t *target, before *policy.State, seen *policy.Observation, pods []*pod) {
	s.decision, s.last, s.ticks = t.decision, t.decision.Time, 1
	if s.input == nil {
		s.input = &input{}
	}
	if s.input.spec = t.spec; seen == nil {
		s.input.spec = nil
		return
	}
	withoutPods := *seen
	withoutPods.Pods = nil
	withoutPods.CloneInto(&s.input.seen)
	s.input.before, s.input.pods = before, append(s.input.pods[:0], pods...)
}

// record renders a stretch. It shares nothing that is written over later.
func (s *stretch) record() Record {
	r := Record{Decision: s.decision.Outcome(), Last: s.last.UTC(), Ticks: s.ticks}
	from := s.input
	if from == nil || from.spec == nil {
		return r
	}
	r.Input = &policy.Input{Time: s.decision.Time, Spec: *from.spec, State: *from.before, Seen: from.seen.Clone()}
	r.Input.Seen.Pods = make([]policy.Pod, len(from.pods))
	for i, p := range from.pods {
		r.Input.Seen.Pods[i] = p.seen()
	}
	return r
}

// size is about how many bytes a stretch takes.
func (s *stretch) size() int {
	return int(unsafe.Sizeof(*s)+unsafe.Sizeof(*s.decision)) + len(s.decision.Signals)*int(unsafe.Sizeof(policy.SignalDecision{})) + s.input.size()
}

// size is about how many bytes it takes. The slices of a State are mostly shared with those of the decision before.
func (from *input) size() int {
	if from == nil {
		return 0
	}
	n := int(unsafe.Sizeof(*from)+unsafe.Sizeof(policy.State{})) + len(from.pods)*int(unsafe.Sizeof(from.pods[0]))
	for i := range from.seen.Readings {
		n += int(unsafe.Sizeof(policy.Reading{})) + len(from.seen.Readings[i].Samples)*int(unsafe.Sizeof(policy.Sample{}))
	}
	if from.before == nil {
		return n
	}
	return n + (len(from.before.Past)+len(from.before.Events)+len(from.before.Served))*int(unsafe.Sizeof(policy.Recommendation{}))
}

// note keeps the decision about a target and what it was made from, within its share of the memory.
func (h *history) note(t *target, before *policy.State, seen *policy.Observation, pods []*pod, share int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest.fill(t, before, seen, pods)
	if n := len(h.stretches); n > 0 && sameDecision(h.stretches[n-1].decision, t.decision) {
		h.stretches[n-1].last = h.latest.last
		h.stretches[n-1].ticks++
	} else {
		s := &stretch{}
		s.fill(t, before, seen, pods)
		h.stretches = append(h.stretches, s)
		h.bytes += s.size()
	}
	h.shrink(share - h.latest.size())
}

// shrink lets the oldest go until what is left fits. Of those that stay in any case it lets go what they were made from.
func (h *history) shrink(room int) {
	old := 0
	for ; h.bytes > room && len(h.stretches)-old > leastStretches; old++ {
		h.bytes -= h.stretches[old].size()
	}
	h.stretches = slices.Delete(h.stretches, 0, old)
	for i := 0; h.bytes > room && i < len(h.stretches); i++ {
		h.bytes -= h.stretches[i].input.size()
		h.stretches[i].input = nil
	}
}

// sameDecision reports whether two decisions differ in their readings only.
func sameDecision(a, b *policy.Decision) bool {
	return a.Current == b.Current && a.Desired == b.Desired && a.Reason == b.Reason && notedBy(a) == notedBy(b) &&
		sameStage(a.Recommended, b.Recommended) && sameStage(a.Guarded, b.Guarded) && sameStage(a.Stabilized, b.Stabilized) &&
		sameStage(a.Limited, b.Limited) && sameStage(a.Bounded, b.Bounded)
}

func sameStage(a, b policy.Stage) bool { return a.Replicas == b.Replicas && a.Reason == b.Reason }

// remember keeps what was decided about a target in this tick, and what it was made from; nil where nothing was seen.
func (p *pass) remember(t *target, before *policy.State, seen *policy.Observation, pods []*pod) {
	if t.history == nil {
		t.history = &history{}
	}
	t.history.note(t, before, seen, pods, historyBudget/len(p.targets))
	t.history.trace.add(t, p.c.options.Settings.Interval, len(p.targets))
}
