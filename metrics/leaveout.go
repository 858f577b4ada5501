package metrics

import (
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// leftOutFor is how long a namespace is left out of the queries for a signal after it made a reply too large.
const leftOutFor = 5 * time.Minute

// leftOut are the namespaces that are left out of the queries for a signal: their pods are missing, and those of the others are read all
// the same.
type leftOut map[string]flood

// flood is what a namespace sent last.
type flood struct {
	series int
	until  time.Time
}

// without returns the namespaces that are asked for a signal now, and forgets those that have been left out for long enough.
func (p *Prometheus) without(signal policy.Signal, namespaces []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.left[signal]
	for namespace, f := range left {
		if !time.Now().Before(f.until) {
			delete(left, namespace)
		}
	}
	if len(left) == 0 {
		return namespaces
	}
	return slices.DeleteFunc(slices.Clone(namespaces), func(namespace string) bool { _, is := left[namespace]; return is })
}

// leave leaves out the namespace to which most of a reply belongs that is too large, and reports whether there is one. Where none has more
// than half of it there is none to blame.
func (p *Prometheus) leave(signal policy.Signal, gathered []*gatherer) bool {
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
	if 2*series[worst] <= all {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left[signal] == nil {
		p.left[signal] = leftOut{}
	}
	p.left[signal][worst] = flood{series[worst], time.Now().Add(leftOutFor)}
	return true
}

// missed counts the series of the namespaces that are left out.
func (p *Prometheus) missed(signal policy.Signal, namespaces []string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, namespace := range namespaces {
		n += p.left[signal][namespace].series
	}
	return n
}
