package dashboard

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is how many workloads, and how many past decisions, are on one page.
const pageSize = 200

// filter is which workloads are asked for, and in which order.
type filter struct {
	Namespace, Search, Show, Sort string
	Page                          int
}

// choice is one value of a filter and what it is called.
type choice struct{ Value, Text string }

// shows are the values of "show", sorts those of "sort". The first of each is the default.
var (
	shows = []choice{
		{"", "All workloads"}, {"attention", "What needs attention"}, {"held", "Held"}, {"changing", "Scaling now"}, {"broken", "With errors"},
	}
	sorts = []choice{{"", "Attention first"}, {"name", "Namespace and name"}, {"gpus", "GPUs held"}}
)

// filterOf reads the parameters of a request. What is not known counts as not given.
func filterOf(q url.Values) filter {
	f := filter{Namespace: q.Get("namespace"), Search: strings.TrimSpace(q.Get("search")), Show: known(shows, q.Get("show")), Sort: known(sorts, q.Get("sort"))}
	if f.Show == "" && q.Get("held") == "1" {
		f.Show = "held"
	}
	f.Page = pageOf(q)
	return f
}

// pageOf reads which page is asked for, from 1.
func pageOf(q url.Values) int {
	n, err := strconv.Atoi(q.Get("page"))
	if err != nil {
		return 1
	}
	return max(n, 1)
}

// known returns a value if it is one of the choices, else the default.
func known(choices []choice, value string) string {
	if slices.ContainsFunc(choices, func(c choice) bool { return c.Value == value }) {
		return value
	}
	return ""
}

// query is the filter as parameters, with another page.
func (f filter) query(page int) string {
	q := url.Values{}
	for key, value := range map[string]string{"namespace": f.Namespace, "search": f.Search, "show": f.Show, "sort": f.Sort} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}
	return "?" + q.Encode()
}

// matches reports whether a workload in a state is asked for.
func (f *filter) matches(w *Workload, s state) bool {
	if f.Namespace != "" && w.Namespace != f.Namespace || f.Search != "" && !strings.Contains(w.Namespace+"/"+w.Name, f.Search) {
		return false
	}
	switch f.Show {
	case "attention":
		return s <= held
	case "held":
		return w.Decision.Reason.Holds()
	case "changing":
		return s == changing
	case "broken":
		return s == broken
	}
	return true
}

// judged is a workload and its state.
type judged struct {
	*Workload
	state state
}

// apply returns the workloads that are asked for, in the order that is asked for. The fleet's own is by namespace and name.
func (f *filter) apply(workloads []Workload, now time.Time) []judged {
	list := make([]judged, 0, len(workloads))
	for i := range workloads {
		w := &workloads[i]
		if s := stateOf(w, now); f.matches(w, s) {
			list = append(list, judged{w, s})
		}
	}
	switch f.Sort {
	case "":
		slices.SortStableFunc(list, func(a, b judged) int { return cmp.Compare(a.state, b.state) })
	case "gpus":
		slices.SortStableFunc(list, func(a, b judged) int { return cmp.Compare(b.GPUs, a.GPUs) })
	}
	return list
}

// paging is where in a long list one is.
type paging struct {
	Page, Pages, First, Last, Total int
	// Newer and Older are the parameters of the pages beside it, empty if there is none.
	Before, After string
}

// pagingOf cuts a list into pages. A page beyond the last one is the last.
func pagingOf(page, total int, query func(page int) string) paging {
	p := paging{Pages: max((total+pageSize-1)/pageSize, 1), Total: total}
	p.Page = min(page, p.Pages)
	p.First, p.Last = min((p.Page-1)*pageSize+1, total), min(p.Page*pageSize, total)
	if p.Page > 1 {
		p.Before = query(p.Page - 1)
	}
	if p.Page < p.Pages {
		p.After = query(p.Page + 1)
	}
	return p
}
