package metrics

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

const (
	// leftOutFor is how long a namespace is left out of the queries for a signal after it made a reply too large.
	leftOutFor = 5 * time.Minute
	// slowFor is how long it is left out the first time that the reply did not come to an end in time, because Prometheus itself may be slow.
	// It is twice as long each further time, and leftOutFor at most.
	slowFor = 30 * time.Second
	// floodedSeries is how many must have come by then: fewer are no reason to be late.
	floodedSeries = 20_000
)

// leftOut are the namespaces that are left out of the queries for a signal: their pods are missing, and those of the others are read
// all the same.
type leftOut map[string]flood

// flood is what a namespace sent last.
type flood struct {
	series int
	until  time.Time
	// slow counts the times that it came to no end in time.
	slow int
}

// over reports whether the namespace is asked again.
func (f flood) over() bool { return !time.Now().Before(f.until) }

// without returns the namespaces that are asked for a signal now, and forgets those that have been asked again for a while.
func (p *Prometheus) without(signal policy.Signal, namespaces []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.left[signal]
	maps.DeleteFunc(left, func(_ string, f flood) bool { return time.Since(f.until) >= leftOutFor })
	if len(left) == 0 {
		return namespaces
	}
	return slices.DeleteFunc(slices.Clone(namespaces), func(namespace string) bool { return !left[namespace].over() })
}

// leave leaves out the namespace to which most of a reply belongs that is too large, or came to no end in time, and reports whether there is
// one. Where none has more than half of it there is none to blame.
func (p *Prometheus) leave(signal policy.Signal, gathered []*gatherer, err error) bool {
	series, all, worst := map[string]int{}, 0, ""
	for _, g := range gathered {
		if g == nil {
			continue
		}
		for i := range g.views {
			n, namespace := g.views[i].series(), g.views[i].key.Namespace
			all += n
			if series[namespace] += n; series[namespace] > series[worst] {
				worst = namespace
			}
		}
	}
	large := errors.Is(err, errTooLarge)
	if 2*series[worst] <= all || !large && (!errors.Is(err, context.DeadlineExceeded) || all < floodedSeries) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left[signal] == nil {
		p.left[signal] = leftOut{}
	}
	f := p.left[signal][worst]
	f.series = series[worst]
	if large {
		f.until = time.Now().Add(leftOutFor)
	} else {
		f.until = time.Now().Add(min(slowFor<<min(f.slow, 10), leftOutFor))
		f.slow++
	}
	p.left[signal][worst] = f
	return true
}

// missed counts the series of the namespaces that are left out.
func (p *Prometheus) missed(signal policy.Signal, namespaces []string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, namespace := range namespaces {
		if f := p.left[signal][namespace]; !f.over() {
			n += f.series
		}
	}
	return n
}
