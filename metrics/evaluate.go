package metrics

import (
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
