package metrics

import (
	"math"
	"time"
)

// Why says why a sample was dropped.
type Why string

// The reasons to drop a sample. What is dropped is missing: it is never clamped into something plausible, but for
// the few percent that gauges overshoot their range by.
const (
	NoIdentity Why = "no-identity"  // the series names no namespace or no pod
	NotANumber Why = "nan"          // NaN: 0/0, or a quantile of nothing
	Infinite   Why = "infinite"     // +Inf or -Inf
	Negative   Why = "negative"     // nothing that is measured here can be below 0
	OutOfRange Why = "out-of-range" // more than 5 % over the range, such as DCGM's blanks
	TooMany    Why = "too-many"     // of a namespace that made the reply too large, or of a pod of which too many exporters tell
)

// Drop counts the samples of one reply that were dropped for one reason.
type Drop struct {
	Why   Why
	Count int
}

var whys = [...]Why{"", NoIdentity, NotANumber, Infinite, Negative, OutOfRange, TooMany}

// Indices into whys.
const (
	whyNone uint8 = iota
	whyNoIdentity
	whyNaN
	whyInfinite
	whyNegative
	whyOutOfRange
	whyTooMany
)

// overshoot is how far above its range a value is still taken for the top of the range: utilizations computed from
// two counters read 100.3 now and then.
const overshoot = 1.05

// plausible returns the value to use, or why there is none. The comparisons are written so that NaN fails them.
func plausible(v, limit float64, percent bool) (float64, uint8) {
	switch {
	case math.IsNaN(v):
		return 0, whyNaN
	case math.IsInf(v, 0):
		return 0, whyInfinite
	case v < 0:
		return 0, whyNegative
	case v <= limit:
		return max(v, 0), whyNone // -0 is 0
	case percent && v <= limit*overshoot:
		return limit, whyNone
	}
	return 0, whyOutOfRange
}

// view is one exporter's account of one pod from one source: complete in itself, so that several views of a pod are
// alternatives and are never added up. Two exporters on one node (say NVIDIA's operator and a private one) give two
// views of each of its pods.
type view struct {
	key   PodKey
	via   string // the exporter's own pod, if the workload is in exported_pod
	next  int32  // the next view of the same pod, -1 at the end
	n     int32
	acc   float64
	bad   [len(whys)]uint32 // dropped samples by reason; any of them spoils the view
	rank  int16             // place of the source in the signal's list; the list's length if unknown
	idle  bool
	spoil bool
	older bool // another view of the same pod was opened later, and heads the list
}

// gatherer turns series into readings: one reply, one signal. The next reply to the same query mostly lists the same pods in the same
// order: a gatherer that is used again puts them where they were before, and needs no new index.
type gatherer struct {
	spec  signalSpec
	views []view // beyond them, in the same memory, are still those of the reply before
	// index holds the newest view of each pod; nil as long as the pods come in the order of before.
	index map[PodKey]int32
	// before is the index of the reply before, nil if a pod had several views in it. Whoever has its samples reads it.
	before   map[PodKey]int32
	noID     int
	tooMany  int
	at       float64 // evaluation time, seconds
	lastName string
	lastRank int16
}

func newGatherer(spec signalSpec) *gatherer { return &gatherer{spec: spec, lastRank: -1} }

// again makes the gatherer ready for another reply.
func (g *gatherer) again(spec signalSpec) {
	g.before = nil
	if len(g.index) == len(g.views) {
		g.before = g.index
	}
	g.spec, g.views, g.index, g.noID, g.tooMany, g.at, g.lastRank = spec, g.views[:0], nil, 0, 0, 0, -1
}

// identity resolves whose sample a series is. Prometheus renames a scraped label to exported_* when the target has
// the same label itself (honor_labels: false, the default); pod and namespace are then the exporter's. Each of the
// two labels is resolved by itself: a scrape configuration may attach only one of them.
func identity(labels *labelSet) (key PodKey, via string, ok bool) {
	key = PodKey{Namespace: labels[fieldNamespace], Pod: labels[fieldPod]}
	if exported := labels[fieldExportedPod]; exported != "" {
		key.Pod, via = exported, labels[fieldPod]
	}
	if exported := labels[fieldExportedNamespace]; exported != "" {
		key.Namespace = exported
	}
	return key, via, key.Namespace != "" && key.Pod != ""
}

func (g *gatherer) add(labels *labelSet, t, v float64) {
	g.at = t
	key, via, ok := identity(labels)
	if !ok {
		g.noID++
		return
	}
	w := g.view(key, via, g.rank(labels[fieldSource]))
	if w == nil {
		g.tooMany++
		return
	}
	if labels[fieldIdle] != "" {
		w.idle = true
		return
	}
	v, why := plausible(v, g.spec.limit, g.spec.percent)
	if why != whyNone {
		w.bad[why]++
		w.spoil = true
		return
	}
	switch {
	case w.n == 0:
		w.acc = v
	case g.spec.within == Max:
		w.acc = max(w.acc, v)
	case g.spec.within == oldest:
		w.acc = min(w.acc, v)
	default:
		w.acc += v
	}
	w.n++
}

// rank finds the place of a source in the signal's list.
func (g *gatherer) rank(source string) int16 {
	if source == g.lastName && g.lastRank >= 0 {
		return g.lastRank
	}
	g.lastName, g.lastRank = source, int16(len(g.spec.sources))
	for i := range g.spec.sources {
		if g.spec.sources[i].Name == source {
			g.lastRank = int16(i)
		}
	}
	return g.lastRank
}

// maxViews bounds how many views a pod can have: a few sources times a few exporters. They are looked for one by one, and whoever makes up
// exporters by the thousand must not make that long.
const maxViews = 64

// view finds or opens the view of a series. It returns nil if the pod has too many.
func (g *gatherer) view(key PodKey, via string, rank int16) *view {
	if g.index == nil {
		if w := g.asBefore(key, via, rank); w != nil {
			return w
		}
		g.reindex()
	}
	head, known := g.index[key]
	if known {
		n := 0
		for i := head; i >= 0; i = g.views[i].next {
			if n++; n > maxViews {
				return nil
			}
			if w := &g.views[i]; w.rank == rank && w.via == via {
				return w
			}
		}
		g.views[head].older = true
	} else {
		head = -1
	}
	g.index[key] = int32(len(g.views))
	return g.open(view{key: key, via: via, rank: rank, next: head})
}

// open adds a view.
func (g *gatherer) open(w view) *view {
	g.views = append(g.views, w)
	return &g.views[len(g.views)-1]
}

// asBefore finds or opens the view of a series if it is of the last pod, or of the one that came next in the reply before. It returns nil
// if it is of another.
func (g *gatherer) asBefore(key PodKey, via string, rank int16) *view {
	n := len(g.views)
	if n > 0 && g.views[n-1].key == key {
		if w := &g.views[n-1]; w.rank == rank && w.via == via {
			return w
		}
		return nil
	}
	if n >= len(g.before) || g.views[:n+1][n].key != key {
		return nil
	}
	return g.open(view{key: key, via: via, rank: rank, next: -1})
}

// reindex makes an index of the views, each of which is of another pod.
func (g *gatherer) reindex() {
	g.index = make(map[PodKey]int32, len(g.before))
	for i := range g.views {
		g.index[g.views[i].key] = int32(i)
	}
}

// series counts those of the view.
func (w *view) series() int {
	n := int(w.n)
	for _, bad := range w.bad {
		n += int(bad)
	}
	return n
}

// value is the pod's value in one view; ok is false if there is none.
func (g *gatherer) value(w *view) (float64, bool) {
	switch {
	case w.idle:
		return 0, true
	case w.spoil || w.n == 0:
		// One impossible sample spoils the pod's whole value: a sum without it would be too low and would read as
		// less load than there is.
		return 0, false
	case g.spec.within == Mean:
		return w.acc / float64(w.n), true
	}
	return w.acc, true
}

// better reports whether view a answers for the pod rather than b: the earlier source, and of two views from one
// source the larger value, as max by (identity) does with duplicates.
func better(a, b *view, valueA, valueB float64) bool {
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	if a.idle != b.idle {
		return !a.idle
	}
	return valueA > valueB
}

// best walks the views of one pod.
func (g *gatherer) best(head int32) (*view, float64) {
	var found *view
	var value float64
	for i := head; i >= 0; i = g.views[i].next {
		w := &g.views[i]
		if v, ok := g.value(w); ok && (found == nil || better(w, found, v, value)) {
			found, value = w, v
		}
	}
	return found, value
}

// samples closes the reply: one reading per pod.
func (g *gatherer) samples() Samples {
	switch {
	case g.index != nil:
	case len(g.views) == len(g.before):
		g.index = g.before
	default:
		g.reindex()
	}
	s := Samples{index: g.index, readings: make([]compactReading, len(g.views)), sources: make([]string, len(g.spec.sources))}
	for i := range g.spec.sources {
		s.sources[i] = g.spec.sources[i].Name
	}
	for i := range g.views {
		if g.views[i].older {
			continue
		}
		w, value := g.best(int32(i))
		if w == nil {
			continue
		}
		s.readings[i] = compactReading{value: value, source: w.rank, found: true, idle: w.idle}
		if int(w.rank) >= len(s.sources) {
			s.readings[i].source = -1
		}
		s.found++
	}
	return s
}

// dropped counts what was dropped. NaN beside the mark of idleness is the same fact told twice, and no loss.
func (g *gatherer) dropped(into *[len(whys)]int) {
	into[whyNoIdentity] += g.noID
	into[whyTooMany] += g.tooMany
	for i := range g.views {
		w := &g.views[i]
		for why, n := range w.bad {
			if n > 0 && (!w.idle || uint8(why) != whyNaN) {
				into[why] += int(n)
			}
		}
	}
}

// drops renders counts in the order of the reasons, leaving out the zeros.
func drops(counts *[len(whys)]int) []Drop {
	var out []Drop
	for i, n := range counts {
		if n > 0 {
			out = append(out, Drop{Why: whys[i], Count: n})
		}
	}
	return out
}

// serverTime turns the seconds of a reply into a time; zero stays zero: an empty reply has no time.
func serverTime(seconds float64) time.Time {
	if seconds == 0 || math.IsNaN(seconds) || math.Abs(seconds) > 1<<40 {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}
