package metrics

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of what is kept of one page. A server with sixteen engines and three histograms has 1,300 series, of 100 bytes each.
const (
	maxKeptSeries = 4000
	maxKeptBytes  = 256 << 10
)

// page is the state of one page that is read again and again: the series in the order in which they stand on it. It is not safe
// for concurrent use.
type page struct {
	plan   *plan
	series []series
	number uint64    // of the page read last
	asked  time.Time // when that was asked for
	window snapshotRing
}

// hit is one wanted sample of a page that is being read.
type hit struct {
	series int32
	value  float64
	time   int64
}

// reading is a page that is being read. Nothing of the page's state changes before all of it was read: a page that breaks off is
// no page.
type reading struct {
	*page
	hits   []hit
	fresh  []series         // first seen on this page
	index  map[string]int32 // of all series, made when the page differs from the one before
	cursor int              // the series that is expected next
	moved  bool             // the series did not come in the same order as on the page before
	bytes  int              // of the texts of the hits
}

// read reads a page that was asked for at a time, and is received now.
func (p *page) read(in *bufio.Reader, openMetrics bool, asked, received time.Time) error {
	e := expositionReader{buf: in, openMetrics: openMetrics}
	r := reading{page: p}
	for {
		text, err := e.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.line(&e, trimBlank(text))
		}
		if err != nil {
			return err
		}
	}
	if err := r.checkTimes(received); err != nil {
		return err
	}
	r.commit(asked)
	return nil
}

// line reads one line. Most wanted lines are those that were expected: same series, same order as on the page before.
func (r *reading) line(e *expositionReader, text []byte) error {
	if r.cursor < len(r.series) {
		want := r.series[r.cursor].text.Value()
		if n := len(want); len(text) > n && (text[n] == ' ' || text[n] == '\t') && string(text[:n]) == want {
			r.cursor++
			return r.sample(e, int32(r.cursor-1), n, text[n:])
		}
	}
	name := metricName(text)
	if name == 0 {
		return nil
	}
	uses, wanted := r.plan.names[string(text[:name])]
	if !wanted {
		return nil
	}
	end, err := seriesEnd(text, name)
	if err != nil {
		return err
	}
	i, err := r.find(text[:end], name, uses)
	if err != nil {
		return err
	}
	return r.sample(e, i, end, text[end:])
}

// find returns the place of a series that was not expected here.
func (r *reading) find(text []byte, name int, uses []use) (int32, error) {
	if r.index == nil {
		r.index = make(map[string]int32, len(r.series))
		for i := range r.series {
			r.index[r.series[i].text.Value()] = int32(i)
		}
	}
	r.moved = true
	if i, known := r.index[string(text)]; known {
		if int(i) < len(r.series) {
			r.cursor = int(i) + 1
		}
		return i, nil
	}
	s, err := newSeries(string(text), name, uses, r.plan.agent)
	if err != nil {
		return 0, err
	}
	i := int32(len(r.series) + len(r.fresh))
	r.fresh = append(r.fresh, s)
	r.index[s.text.Value()] = i
	return i, nil
}

// sample reads what follows the text of a series, which has size bytes.
func (r *reading) sample(e *expositionReader, i int32, size int, rest []byte) error {
	if len(r.hits) >= maxKeptSeries {
		return fmt.Errorf("%w: more than %d series of the metrics that are read", errTooLarge, maxKeptSeries)
	}
	if r.bytes += size; r.bytes > maxKeptBytes {
		return fmt.Errorf("%w: more than %d bytes of names and labels of the metrics that are read", errTooLarge, maxKeptBytes)
	}
	value, ms, err := e.parseValue(rest)
	if err != nil {
		return err
	}
	if len(r.hits) == cap(r.hits) {
		r.hits = append(make([]hit, 0, max(len(r.series)+1, 2*len(r.hits))), r.hits...)
	}
	r.hits = append(r.hits, hit{series: i, value: value, time: ms})
	return nil
}

// futureSlack is how far the clocks of two nodes may be apart before a sample counts as one from the future.
const futureSlack = time.Second

// checkTimes refuses samples from the future: their age cannot be known.
func (r *reading) checkTimes(received time.Time) error {
	limit := received.Add(futureSlack).UnixMilli()
	for _, h := range r.hits {
		if h.time > limit {
			return fmt.Errorf("%w: %s, which is %v ahead of this clock", errTime,
				time.UnixMilli(h.time).UTC().Format(time.RFC3339), time.UnixMilli(h.time).Sub(received).Round(time.Second))
		}
	}
	return nil
}

// commit makes the page that was read the current one.
func (r *reading) commit(asked time.Time) {
	p := r.page
	p.number++
	p.asked = asked
	if r.moved {
		p.series = append(p.series, r.fresh...)
	}
	for _, h := range r.hits {
		p.series[h.series].set(h, asked, p.number)
	}
	if r.moved || len(r.hits) < len(p.series) {
		p.reorder(r.hits, asked)
	}
	p.window.push(asked, p.series)
}

// reorder puts the series into the order of the page, so that the next one is read without looking anything up. Series that the
// page lacks stay for as long as a rate may need them: what a server counts under a new label set after its restart was perhaps
// counted before.
func (p *page) reorder(hits []hit, asked time.Time) {
	placed := make([]bool, len(p.series))
	next := make([]series, 0, len(hits))
	bytes := 0
	take := func(i int) {
		if !placed[i] {
			placed[i] = true
			next = append(next, p.series[i])
			bytes += len(p.series[i].text.Value())
		}
	}
	for _, h := range hits {
		take(int(h.series))
	}
	for i := range p.series {
		if asked.Sub(p.series[i].last) <= countWindow && len(next) < maxKeptSeries && bytes < maxKeptBytes {
			take(i)
		}
	}
	p.series = next
}
