package dashboard

import (
	"maps"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// detailPage is what the page of a workload shows.
type detailPage struct {
	page
	Row         row
	Readings    []reading
	Stages      []stage
	Changes     []explain.Change
	Startup     string
	Charted     bool
	ChartText   string
	ChartStamp  int64
	Past        []past
	Paging      paging
	Annotations []annotation
}

// stage is a stage of the decision as it is shown.
type stage struct {
	Name, Question string
	Replicas       int
	Changed        bool
	Reason         policy.Reason
	Text           string
}

// past is a stretch of equal decisions as it is shown.
type past struct {
	From             *instant
	Lasted           string
	Ticks            int
	Current, Desired int
	Direction        string
	Reason           policy.Reason
	Meaning, Message string
}

// annotation is one of the workload's.
type annotation struct{ Key, Value string }

// questions are what each stage answers.
var questions = map[string]string{
	"recommended": "what the signals ask for",
	"guarded":     "after the safety rules",
	"stabilized":  "after the stabilization windows",
	"limited":     "after the scaling policies",
	"bounded":     "within minimum and maximum",
}

// newDetailPage makes the page of a workload.
func newDetailPage(d *Detail, pageNumber int, now time.Time) detailPage {
	p := detailPage{
		page: newPage(d.Namespace+"/"+d.Name, "../../", d.Time, now), Row: rowOf(&d.Workload, d.Time),
		Charted: d.Chart != nil, ChartStamp: d.Time.Unix(),
	}
	story := d.Story()
	p.Stages, p.Readings, p.Changes = stagesOf(&story), readingsOf(d.Decision, &story), story.Changes
	if s := d.Decision.Fleet.Startup; s > 0 {
		p.Startup = lasted(s)
	}
	if p.Charted {
		p.ChartText = d.ChartText()
	}
	for _, key := range slices.Sorted(maps.Keys(d.Annotations)) {
		p.Annotations = append(p.Annotations, annotation{key, d.Annotations[key]})
	}
	p.addPast(d, pageNumber)
	return p
}

// addPast adds the decisions of a page of them.
func (p *detailPage) addPast(d *Detail, pageNumber int) {
	total, list := d.Past((pageNumber-1)*pageSize, pageSize)
	p.Paging = pagingOf(pageNumber, total, filter{}.query)
	if len(list) == 0 && total > 0 { // beyond the last page
		_, list = d.Past((p.Paging.Page-1)*pageSize, pageSize)
	}
	for i := range list {
		p.Past = append(p.Past, pastOf(&list[i], d.Time))
	}
}

// pastOf shows a stretch.
func pastOf(s *Stretch, now time.Time) past {
	d := &s.First
	p := past{
		From: clock(d.Time, now), Lasted: lasted(s.Last.Sub(d.Time)), Ticks: s.Ticks, Current: d.Current, Desired: d.Desired,
		Reason: d.Reason, Meaning: meaning(d.Reason), Message: sentence(d.Message()),
	}
	switch {
	case d.Desired > d.Current:
		p.Direction = "up"
	case d.Desired < d.Current:
		p.Direction = "down"
	}
	return p
}

// stagesOf shows how the number came about.
func stagesOf(story *explain.Story) []stage {
	list := make([]stage, len(story.Stages))
	for i := range story.Stages {
		s := &story.Stages[i]
		list[i] = stage{Name: s.Name, Question: questions[s.Name], Replicas: s.Replicas, Changed: s.Changed, Reason: s.Reason, Text: s.Text}
	}
	return list
}

// readingsOf shows the signals, and how old their samples are.
func readingsOf(d *policy.Decision, story *explain.Story) []reading {
	var list []reading
	for i := range d.Signals {
		r := readingOf(&d.Signals[i])
		for k := range story.Signals {
			s := &story.Signals[k]
			if s.Signal != d.Signals[i].Signal {
				continue
			}
			r.Lacks = s.Lacks()
			if r.Known {
				r.Age = s.Age(story.Time)
			}
		}
		list = append(list, r)
	}
	return list
}
