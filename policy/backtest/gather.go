package backtest

import (
	"cmp"
	"maps"
	"slices"

	"github.com/gpuscaler/gpuscaler/policy"
)

// engines are the signals that only a pod which serves exports: an exporter of the node sees the GPU of a pod that still loads.
var engines = []policy.Signal{policy.RunningRequests, policy.QueueDepth, policy.KVCache, policy.TokensPerSecond, policy.RequestsPerSecond}

// Add records a reading of a pod.
func (s *Signal) Add(pod string, step int, v Value) {
	if s.Pods == nil {
		s.Pods = map[string]Row{}
	}
	row, known := s.Pods[pod]
	if !known {
		row.From = step
	}
	row.put(step, v)
	s.Pods[pod] = row
}

// AddWorkload records a reading of the whole workload.
func (s *Signal) AddWorkload(step int, v Value) {
	if s.Workload == nil {
		s.Workload = &Row{From: step}
	}
	s.Workload.put(step, v)
}

// put adds a reading after those that are there; one for an earlier step is left out.
func (r *Row) put(step int, v Value) {
	for r.From+len(r.Values) < step {
		r.Values = append(r.Values, Missing())
	}
	if r.From+len(r.Values) == step {
		r.Values = append(r.Values, v)
	}
}

// Gather finds out from the readings when each pod was Ready, and puts everything in order. ready are the pods' times of being
// Ready where something else recorded them, nil if nothing did: then a pod is taken as Ready from its first reading of an
// engine's signal, or of any signal if the engines export none, to its last of all.
func (r *Recording) Gather(ready map[string]Row) {
	slices.SortFunc(r.Signals, func(a, b Signal) int { return cmp.Compare(a.Signal, b.Signal) })
	rows := ready
	if len(rows) == 0 {
		rows = r.serving()
	}
	r.Pods = r.Pods[:0]
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := rows[name]
		r.Pods = append(r.Pods, Pod{Name: name, From: row.From, Until: row.From + len(row.Values)})
	}
	slices.SortStableFunc(r.Pods, func(a, b Pod) int { return cmp.Compare(a.From, b.From) })
}

// serving are spans from the first reading of each pod that tells that it serves to the last of any.
func (r *Recording) serving() map[string]Row {
	first, last := map[string]int{}, map[string]int{}
	telling := slices.ContainsFunc(r.Signals, func(s Signal) bool { return slices.Contains(engines, s.Signal) && len(s.Pods) > 0 })
	for i := range r.Signals {
		s := &r.Signals[i]
		for name, row := range s.Pods {
			last[name] = max(last[name], row.From+len(row.Values))
			if telling && !slices.Contains(engines, s.Signal) {
				continue
			}
			if from, known := first[name]; !known || row.From < from {
				first[name] = row.From
			}
		}
	}
	spans := make(map[string]Row, len(first))
	for name, from := range first {
		spans[name] = Row{From: from, Values: make([]Value, last[name]-from)}
	}
	return spans
}

// CountPods takes the number of pods that were Ready for the number of replicas of each time: where nothing recorded it. Where no pod
// was seen there were hardly none: it is the number before, and at the beginning the first one. Call it after Gather.
func (r *Recording) CountPods() {
	r.Replicas = make([]int, r.Steps)
	for _, p := range r.Pods {
		for i := p.From; i < min(p.Until, r.Steps); i++ {
			r.Replicas[i]++
		}
	}
	last := 0
	if i := slices.IndexFunc(r.Replicas, func(n int) bool { return n > 0 }); i >= 0 {
		last = r.Replicas[i]
	}
	for i, n := range r.Replicas {
		if n == 0 {
			r.Replicas[i] = last
		}
		last = r.Replicas[i]
	}
}
