package controller

import (
	"time"

	"github.com/gpuscaler/gpuscaler/controller/dashboard"
	"github.com/gpuscaler/gpuscaler/policy/chart"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// pages give the dashboard what it shows.
type pages struct{ c *Controller }

// Fleet returns all workloads as of the last tick.
func (p pages) Fleet() dashboard.Fleet {
	s := p.c.Snapshot()
	f := dashboard.Fleet{Time: s.Time, Workloads: make([]dashboard.Workload, len(s.Workloads)), GPUs: dashboard.GPUs(s.GPUs)}
	for i := range s.Workloads {
		f.Workloads[i] = s.Workloads[i].shown()
	}
	return f
}

// Detail returns one workload with its past.
func (p pages) Detail(namespace, name string) *dashboard.Detail {
	s := p.c.Snapshot()
	w := s.Find(namespace, name)
	if w == nil {
		return nil
	}
	d := &dashboard.Detail{Workload: w.shown(), Time: s.Time, Annotations: w.valid, Past: w.past, Story: w.story}
	if draw, rows := p.c.options.Chart, w.Rows(); draw != nil && len(rows) > 0 {
		d.Chart = func(width int, dark bool) ([]byte, error) { return draw(chart.Of(rows), width, dark) }
		d.ChartText = func() string { return chart.Of(rows).Text() }
	}
	return d
}

// shown is the workload as the dashboard takes it.
func (w *Workload) shown() dashboard.Workload {
	return dashboard.Workload{
		Namespace: w.Namespace, Name: w.Name, Spec: w.Spec, Decision: w.Decision, Message: w.Message,
		Problems: w.Problems, Note: w.Note, WriteProblem: w.WriteProblem, DryRun: w.DryRun,
		Ready: w.Ready, Loading: w.Loading, Unschedulable: w.Unschedulable, GPUs: w.GPUs, Free: w.Free, FreeKnown: w.FreeKnown,
	}
}

// past returns how many stretches are kept, and n of them after the newest skip, newest first.
func (w *Workload) past(skip, n int) (total int, list []dashboard.Stretch) {
	if w.history == nil {
		return 0, nil
	}
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	kept := w.history.stretches
	for i := len(kept) - 1 - skip; i >= 0 && len(list) < n; i-- {
		list = append(list, dashboard.Stretch{First: *kept[i].decision, Last: kept[i].last, Ticks: kept[i].ticks})
	}
	return len(kept), list
}

// story tells the last decision. Without what it was made from, it tells the decision alone.
func (w *Workload) story() explain.Story {
	if latest := w.History(time.Now()).Latest; latest != nil && latest.Input != nil {
		return explain.Of(latest.Input)
	}
	return explain.Told(w.Decision.Outcome(), w.Decision.Time)
}
