package dashboard

import (
	"slices"
	"time"
)

// fleetPage is what the first page shows.
type fleetPage struct {
	page
	Totals     totals
	Filter     filter
	Filtered   bool
	Namespaces []string
	Shows      []choice
	Sorts      []choice
	Rows       []row
	Paging     paging
}

// totals are sums over all workloads, whatever the filter.
type totals struct {
	Workloads, Current, Desired, GPUs, Held, Changing, Broken int
	Nodes                                                     GPUs
}

// newFleetPage makes the first page.
func newFleetPage(f Fleet, wanted filter, now time.Time) fleetPage {
	p := fleetPage{
		page: newPage("Fleet", "./", f.Time, now), Filter: wanted, Filtered: wanted.Namespace+wanted.Search+wanted.Show != "",
		Totals: sum(&f), Shows: shows, Sorts: sorts,
	}
	for i := range f.Workloads {
		if ns := f.Workloads[i].Namespace; len(p.Namespaces) == 0 || p.Namespaces[len(p.Namespaces)-1] != ns {
			p.Namespaces = append(p.Namespaces, ns) // they are sorted
		}
	}
	if wanted.Namespace != "" && !slices.Contains(p.Namespaces, wanted.Namespace) {
		p.Namespaces = append(p.Namespaces, wanted.Namespace) // so that the form shows what was asked for
	}
	list := wanted.apply(f.Workloads, f.Time)
	p.Paging = pagingOf(wanted.Page, len(list), wanted.query)
	for _, j := range list[max(p.Paging.First-1, 0):p.Paging.Last] {
		p.Rows = append(p.Rows, rowOf(j.Workload, f.Time))
	}
	return p
}

// sum adds up the workloads.
func sum(f *Fleet) totals {
	t := totals{Workloads: len(f.Workloads), Nodes: f.GPUs}
	for i := range f.Workloads {
		w := &f.Workloads[i]
		t.Current += w.Decision.Current
		t.Desired += w.Decision.Desired
		t.GPUs += w.GPUs
		if w.Decision.Reason.Holds() {
			t.Held++
		}
		switch stateOf(w, f.Time) {
		case broken:
			t.Broken++
		case changing:
			t.Changing++
		}
	}
	return t
}
