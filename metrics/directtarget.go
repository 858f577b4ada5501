package metrics

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// directTarget is what is remembered of a target.
type directTarget struct {
	wanted time.Time // guarded by Direct.mu

	mu      sync.Mutex // held while the target is read
	signals []policy.Signal
	plan    *plan
	pods    map[string]*directPod // by name
}

// directPod is what is remembered of a pod.
type directPod struct {
	page    page
	address netip.AddrPort
	path    string
	request *http.Request
	wanted  time.Time // the last tick in which it was one of the target's
	asked   time.Time // the last tick in which it was asked
	worths  []worth   // of the last time, none if it failed
	trial   trial
}

// update brings the state in line with the target. Other signals are other pages: their counters begin anew.
func (s *directTarget) update(now time.Time, t DirectTarget) {
	if s.plan == nil || !slices.Equal(s.signals, t.Signals) {
		s.signals, s.plan = slices.Clone(t.Signals), podPlan(t.Signals)
		clear(s.pods)
	}
	for _, pod := range t.Pods {
		p := s.pods[pod.Name]
		if p == nil {
			p = &directPod{page: page{plan: s.plan}}
			s.pods[pod.Name] = p
		}
		p.wanted = now
		if address := netip.AddrPortFrom(pod.IP, uint16(t.Port)); p.address != address || p.path != t.Path {
			*p = directPod{page: page{plan: s.plan}, wanted: now, address: address, path: t.Path}
		}
	}
	for name, p := range s.pods {
		if now.Sub(p.wanted) > forgetAfter {
			delete(s.pods, name)
		}
	}
}

// due chooses whom to ask: those that were asked longest ago first.
func (s *directTarget) due(now time.Time, t DirectTarget, share int) []*directPod {
	pods := make([]*directPod, 0, len(t.Pods))
	for _, pod := range t.Pods {
		if p := s.pods[pod.Name]; p.trial.due(now) {
			pods = append(pods, p)
		}
	}
	slices.SortStableFunc(pods, func(a, b *directPod) int { return a.asked.Compare(b.asked) })
	chosen := make([]*directPod, 0, share)
	for _, p := range pods {
		if len(chosen) < share && !slices.Contains(chosen, p) { // a name listed twice is one pod
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// scrape asks the pods that are due and returns how many were not asked because all slots were taken.
func (s *directTarget) scrape(ctx context.Context, d *Direct, tick directTick, t DirectTarget, share int) (busy int) {
	due := s.due(tick.now, t, share)
	asked := make([]bool, len(due))
	var wg sync.WaitGroup
	for i, p := range due {
		wg.Go(func() { asked[i] = p.read(ctx, d, tick) })
	}
	wg.Wait()
	for _, ok := range asked {
		if !ok {
			busy++
		}
	}
	return busy
}

// read asks a pod, if a slot is free for it.
func (p *directPod) read(ctx context.Context, d *Direct, tick directTick) bool {
	if p.request == nil {
		var fail *failure
		if p.request, fail = d.scraper.pageAt(p.address, p.path); fail != nil {
			p.trial.end(tick.now, fail)
			return true
		}
	}
	asked, fail := d.ask(ctx, tick, &p.trial, p.request, &p.page)
	if !asked {
		if p.trial.failed != nil {
			p.asked = tick.now // so that it does not stand first in line for ever, before those that answer
		}
		return false
	}
	p.asked, p.worths = tick.now, nil
	if fail == nil {
		p.worths = evaluation{page: &p.page, age: d.opts.MaxSampleAge}.worths()
		for i := range p.worths {
			// It was asked in this tick and perhaps a little later. It is never made younger than it may be.
			if p.worths[i].time.After(tick.now) {
				p.worths[i].time = tick.now
			}
		}
	}
	return true
}

// results gathers what the pods and their agents say, those included that were not asked in this tick.
func (s *directTarget) results(d *Direct, now time.Time, t DirectTarget, agents map[netip.AddrPort]*directAgent) DirectReading {
	gather := make([]directGatherer, len(t.Signals))
	for i := range gather {
		gather[i] = directGatherer{gatherer: newGatherer(s.plan.specs[i]), times: map[timeKey]time.Time{}}
	}
	for _, pod := range t.Pods {
		key := PodKey{t.Namespace, pod.Name}
		add := func(signal int, w worth) {
			if age := now.Sub(w.time); age >= 0 && age <= d.opts.MaxSampleAge { // negative only if the clock was set back
				gather[signal].take(key, w)
			}
		}
		if p := s.pods[pod.Name]; t.Port != 0 {
			for _, w := range p.worths {
				add(int(w.signal), w)
			}
		}
		for _, w := range agents[pod.Agent].about(key) {
			if i := slices.Index(t.Signals, d.agentPlan.specs[w.signal].signal); i >= 0 {
				add(i, w)
			}
		}
	}
	reading := DirectReading{Results: make([]DirectResult, len(t.Signals)), Pods: len(t.Pods)}
	for i := range gather {
		reading.Results[i].Result = gather[i].result()
	}
	return reading
}

// directGatherer is a gatherer that knows the times of its samples.
type directGatherer struct {
	*gatherer
	times map[timeKey]time.Time // of the oldest part
}

type timeKey struct {
	pod    PodKey
	source string
}

// take adds the sample of one GPU or engine.
func (g directGatherer) take(pod PodKey, w worth) {
	source := g.spec.sources[w.source].Name
	key := timeKey{pod, source}
	if t, known := g.times[key]; !known || w.time.Before(t) {
		g.times[key] = w.time
	}
	labels := labelSet{fieldNamespace: pod.Namespace, fieldPod: pod.Pod, fieldSource: source}
	if w.idle {
		labels[fieldIdle] = "true"
	}
	g.add(&labels, 0, w.value)
}

func (g directGatherer) result() Result {
	result := merged([]*gatherer{g.gatherer})
	samples := &result.Samples
	samples.times = make([]time.Time, len(samples.readings))
	for key, i := range samples.index {
		samples.times[i] = g.times[timeKey{key, samples.at(i).Source}]
	}
	return result
}
