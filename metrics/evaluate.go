package metrics

import (
	"math"
	"slices"
	"time"
)

// worth is what one source says of one GPU or engine of a pod, in the signal's unit and not yet checked.
type worth struct {
	signal, source int16
	partKey
	value float64
	idle  bool
	time  time.Time
}

// part gathers the samples of one identity, merged by max as in `max by (identity)`.
type part struct {
	partKey
	has   [roleUp + 1]bool
	value [roleUp + 1]float64
	time  time.Time // of the oldest sample
}

// partKey names a GPU or engine of a pod.
type partKey struct {
	pod PodKey // on an agent's page
	id  string
}

// evaluation turns the page read last into values.
type evaluation struct {
	page *page
	age  time.Duration // beyond which a sample is none
}

// worths evaluates all signals. Of each the first source that has samples on the page answers, whatever they are worth.
func (e evaluation) worths() []worth {
	var all []worth
	for i := range e.page.plan.specs {
		for j := range e.page.plan.specs[i].sources {
			values, present := e.source(int16(i), int16(j))
			all = append(all, values...)
			if present {
				break
			}
		}
	}
	return all
}

// source evaluates one source. It is present if it has samples, even if no value can be made of them yet.
func (e evaluation) source(signal, source int16) (values []worth, present bool) {
	s := &e.page.plan.specs[signal].sources[source]
	w := worth{signal: signal, source: source}
	switch s.Kind {
	case Quantile:
		return e.quantile(w, s.Scale)
	case Rate:
		slot, span, ok := e.page.window.base(e.page.asked, e.age)
		parts := e.parts(signal, source, func(s *series) float64 { return s.increase(slot) / span.Seconds() })
		if !ok {
			return nil, len(parts) > 0
		}
		return gauges(w, s, parts), len(parts) > 0
	default:
		values = gauges(w, s, e.parts(signal, source, func(s *series) float64 { return s.value }))
		return values, len(values) > 0
	}
}

// increase is what was counted since a snapshot. A value that no counter can have is returned itself, to be dropped where all
// are; and of a counter that was itself read long before the page, as its timestamp says, nothing is known.
func (s *series) increase(slot int) float64 {
	if !s.counted {
		return s.value
	}
	if s.last.Sub(s.time()) > minSpan {
		return math.NaN()
	}
	return s.total - s.past[slot]
}

// each calls f for the samples of a source that are on the page and not too old.
func (e evaluation) each(signal, source int16, f func(*series, *mark)) {
	for i := range e.page.series {
		s := &e.page.series[i]
		if s.page != e.page.number {
			continue
		}
		for j := range s.marks {
			m := &s.marks[j]
			if m.signal == signal && m.source == source && m.role < roleTime && e.page.asked.Sub(s.time()) <= e.age {
				f(s, m)
			}
		}
	}
}

// parts merges the samples of a source by identity, buckets left out.
func (e evaluation) parts(signal, source int16, value func(*series) float64) []part {
	var parts []part
	var places map[partKey]int // where there are many, as on a page that means harm
	place := func(key partKey) int {
		if places == nil && len(parts) < 16 {
			return slices.IndexFunc(parts, func(p part) bool { return p.partKey == key })
		}
		if places == nil {
			places = map[partKey]int{}
			for i := range parts {
				places[parts[i].partKey] = i
			}
		}
		if i, known := places[key]; known {
			return i
		}
		places[key] = len(parts)
		return -1
	}
	e.each(signal, source, func(s *series, m *mark) {
		if m.role == roleBucket {
			return
		}
		key := partKey{m.pod, m.id}
		i := place(key)
		if i < 0 {
			i = len(parts)
			parts = append(parts, part{partKey: key, time: s.time()})
		}
		parts[i].add(m.role, value(s), s.time())
	})
	return parts
}

// add keeps the larger value. NaN stays, so that a pod with an impossible sample has no value.
func (p *part) add(r role, v float64, t time.Time) {
	if p.has[r] {
		v = max(p.value[r], v)
	}
	p.has[r], p.value[r] = true, v
	if t.Before(p.time) {
		p.time = t
	}
}

// gauges makes a value of each part that has what the source's kind needs.
func gauges(w worth, s *Source, parts []part) []worth {
	var values []worth
	for i := range parts {
		p := &parts[i]
		used := p.value[roleValue]
		ok := p.has[roleValue]
		switch s.Kind {
		case UsedOfTotal:
			used, ok = used/p.value[roleTotal], ok && p.has[roleTotal]
		case UsedOfParts:
			used, ok = used/(used+p.value[roleFree]+p.value[roleReserved]), ok && p.has[roleFree]
		}
		if ok {
			w.partKey, w.value, w.time = p.partKey, used*s.Scale, p.time
			values = append(values, w)
		}
	}
	return values
}

// quantile is the 95th percentile of all engines of a pod over the window. If nothing was counted in it the pod is idle.
func (e evaluation) quantile(w worth, scale float64) (values []worth, present bool) {
	slot, _, ok := e.page.window.base(e.page.asked, e.age)
	var buckets []engineBucket
	w.time = e.page.asked
	e.each(w.signal, w.source, func(s *series, m *mark) {
		present = true
		if s.time().Before(w.time) {
			w.time = s.time()
		}
		if m.role == roleBucket {
			buckets = append(buckets, engineBucket{id: m.id, bucket: bucket{m.le, s.increase(slot)}})
		}
	})
	if !present || !ok {
		return nil, present
	}
	engines := e.parts(w.signal, w.source, func(s *series) float64 { return s.increase(slot) })
	count := 0.0
	for i := range engines {
		count += engines[i].value[roleCount]
	}
	if w.idle = len(engines) > 0 && count == 0; !w.idle {
		w.value = scale * bucketQuantile(0.95, addEngines(buckets))
	}
	return []worth{w}, true
}

// bucket is a cumulative bucket of a histogram: how many were counted up to le.
type bucket struct{ le, count float64 }

type engineBucket struct {
	id string
	bucket
}

// addEngines merges the buckets of one engine by max and adds those of several, sorted by le.
func addEngines(all []engineBucket) []bucket {
	slices.SortFunc(all, func(a, b engineBucket) int {
		switch {
		case a.le != b.le && a.le < b.le:
			return -1
		case a.le != b.le:
			return 1
		case a.id < b.id:
			return -1
		case a.id > b.id:
			return 1
		}
		return 0
	})
	var sums []bucket
	for i, b := range all {
		switch n := len(sums); {
		case n == 0 || sums[n-1].le != b.le:
			sums = append(sums, b.bucket)
		case all[i-1].id == b.id:
			all[i].count = max(all[i-1].count, b.count)
			sums[n-1].count += all[i].count - all[i-1].count
		default:
			sums[n-1].count += b.count
		}
	}
	return sums
}

// bucketQuantile is histogram_quantile() of classic histograms: BucketQuantile in promql/quantile.go of Prometheus. Within a
// bucket it interpolates linearly; the first begins at 0 unless it is for negative values; of the last, +Inf, it returns the
// lower end. Without +Inf, or with nothing counted, it is NaN. Counts that fall from one bucket to the next, as where pages
// are written while requests are counted, are raised to those before.
func bucketQuantile(q float64, buckets []bucket) float64 {
	last := len(buckets) - 1
	if last < 1 || !math.IsInf(buckets[last].le, 1) {
		return math.NaN()
	}
	for i := range buckets {
		if i > 0 {
			buckets[i].count = max(buckets[i].count, buckets[i-1].count)
		}
	}
	if !(buckets[last].count > 0) {
		return math.NaN()
	}
	rank := q * buckets[last].count
	b := 0
	for b < last && buckets[b].count < rank {
		b++
	}
	switch {
	case b == last:
		return buckets[last-1].le
	case b == 0 && buckets[0].le <= 0:
		return buckets[0].le
	case b == 0:
		return buckets[0].le * (rank / buckets[0].count)
	}
	start, end := buckets[b-1], buckets[b]
	return start.le + (end.le-start.le)*((rank-start.count)/(end.count-start.count))
}
