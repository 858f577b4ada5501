package metrics

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// directAgent is what is remembered of the NVML agent of one node. The pods of many targets may be on it: whoever comes first in
// a tick reads it, and the others share what it said.
type directAgent struct {
	address netip.AddrPort
	wanted  time.Time // guarded by Direct.mu

	mu      sync.Mutex // held while it is read
	page    page
	request *http.Request
	tick    time.Time // for which it was read
	pods    map[PodKey][]worth
	trial   trial
}

// read asks the agent, unless it was asked in this tick. A failed agent says nothing about any pod.
func (a *directAgent) read(ctx context.Context, d *Direct, tick directTick) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if tick.now.Equal(a.tick) {
		return
	}
	if !a.trial.due(tick.now) {
		a.tick = tick.now
		return
	}
	if a.request == nil {
		var fail *failure
		if a.request, fail = d.scraper.pageAt(a.address, "/metrics"); fail != nil {
			a.trial.end(tick.now, fail)
			return
		}
	}
	asked, fail := d.ask(ctx, tick, &a.trial, a.request, &a.page)
	if !asked {
		return
	}
	a.tick, a.pods = tick.now, nil
	if fail == nil {
		a.pods, fail = a.evaluate(tick.now, d.opts.MaxSampleAge)
		a.trial.failed = fail // which is told, but the next tick asks again
	}
}

// evaluate reads the page: what it says about each pod. A sample is as old as the agent's own clock says, which is the only one
// that knows: the clocks of two nodes are not compared.
func (a *directAgent) evaluate(now time.Time, maxAge time.Duration) (map[PodKey][]worth, *failure) {
	clock, hasClock := a.scalar(roleClock)
	up, hasUp := a.scalar(roleUp)
	switch {
	case !hasClock || !hasUp:
		return nil, &failure{failAgent, "its page is not that of an NVML agent", nextToAgent}
	case up != 1:
		return nil, &failure{failAgent, "it cannot use NVML (gpuscaler_nvml_up is 0)", "see its log: the node needs NVIDIA's driver, and the agent the runtime class nvidia"}
	}
	taken := a.sampleTimes()
	pods := map[PodKey][]worth{}
	for _, w := range (evaluation{page: &a.page, age: maxAge}).worths() {
		at, known := taken[w.partKey]
		age := time.Duration((clock - at) * float64(time.Second))
		if !known || w.pod.Namespace == "" || w.pod.Pod == "" || !(clock-at > -futureSlack.Seconds() && clock-at <= maxAge.Seconds()) {
			continue // an unknown age is too old
		}
		w.time = now.Add(-max(age, 0))
		pods[w.pod] = append(pods[w.pod], w)
	}
	return pods, nil
}

// scalar is the value of a metric without labels.
func (a *directAgent) scalar(r role) (value float64, ok bool) {
	a.each(r, func(s *series, _ *mark) { value, ok = s.value, true })
	return value, ok
}

// sampleTimes is when the newest sample of each device was taken, by the agent's clock.
func (a *directAgent) sampleTimes() map[partKey]float64 {
	times := map[partKey]float64{}
	a.each(roleTime, func(s *series, m *mark) { times[partKey{m.pod, m.id}] = s.value })
	return times
}

func (a *directAgent) each(r role, f func(*series, *mark)) {
	for i := range a.page.series {
		s := &a.page.series[i]
		for j := range s.marks {
			if s.page == a.page.number && s.marks[j].role == r {
				f(s, &s.marks[j])
			}
		}
	}
}

// failure is why the agent said nothing the last time; nil if it answered.
func (a *directAgent) failure() *failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trial.failed
}

// about is what the agent says about a pod. Nobody says nothing.
func (a *directAgent) about(pod PodKey) []worth {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pods[pod]
}
