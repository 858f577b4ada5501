package metrics

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unique"
)

// series is one series of a page that is wanted, from page to page.
type series struct {
	text  unique.Handle[string] // name and labels as on the page; the pods of a workload share it
	marks []mark                // none if no source matches

	value float64 // on the last page that had it
	own   int64   // the sample's own time, in milliseconds since 1970; 0 if it has none
	page  uint64  // number of the last page that had it

	counted bool               // value is one that a counter can have; it is what total was counted up to
	total   float64            // increase since the first sight, resets left out; only of counters
	past    [snapshots]float64 // total at the page's snapshots; 0 before its first sight, which is what it counts from
	last    time.Time          // when the page that last had it was asked for
}

// mark is one use of a series by a source.
type mark struct {
	*use
	id  string  // values of the source's identity labels
	pod PodKey  // on an agent's page
	le  float64 // of a bucket
}

func newSeries(text string, name int, uses []use, agent bool) (series, error) {
	s := series{text: unique.Make(text)}
	labels, err := parseLabels(text[name:])
	if err != nil {
		return s, err
	}
	for i := range uses {
		u := &uses[i]
		if !u.match.matches(labels) {
			continue
		}
		m := mark{use: u, id: identityOf(labels, u.identity)}
		if agent {
			m.pod = PodKey{labelValue(labels, "namespace"), labelValue(labels, "pod")}
		}
		if u.role == roleBucket {
			if m.le, err = strconv.ParseFloat(labelValue(labels, "le"), 64); err != nil || math.IsNaN(m.le) {
				return s, fmt.Errorf("%w: le=%q of a bucket", errText, excerpt(labelValue(labels, "le")))
			}
		}
		s.marks = append(s.marks, m)
	}
	return s, nil
}

// identityOf joins the values of some labels. Most series have one that is not empty at most.
func identityOf(labels []label, names []string) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = labelValue(labels, name)
	}
	return strings.Join(parts, "\xff") // which is in no label: they are UTF-8
}

// set takes a new value. Two samples of one series on one page are the same thing told twice: the larger one counts.
func (s *series) set(h hit, asked time.Time, number uint64) {
	v, again := h.value, s.page == number
	if again && !(v > s.value) {
		return
	}
	if _, why := plausible(v, math.MaxFloat64, false); why == whyNone {
		switch {
		case !s.counted: // the first sight: what was counted before is not known when
		case v < s.value && !again:
			s.total += v // a restart: it counts from 0
		default:
			s.total += v - s.value
		}
		s.counted = true
	} else {
		s.counted = false
	}
	s.value, s.own, s.page, s.last = v, h.time, number, asked
}

// time is when the value was taken, as far as is known: a value without a time of its own is of when the page was asked for, and
// none is younger.
func (s *series) time() time.Time {
	if own := time.UnixMilli(s.own); s.own != 0 && own.Before(s.last) {
		return own
	}
	return s.last
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
