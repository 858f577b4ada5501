package dashboard

import (
	"maps"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// detailPage is what the page of a workload shows.
type detailPage struct {
	page
	Row         row
	Readings    []reading
	Stages      []stage
	Notes       []policy.Note
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
	Meaning        string
	Until          *instant
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
		Stages: stagesOf(d.Decision, d.Time), Notes: d.Decision.Notes, Charted: d.Chart != nil, ChartStamp: d.Time.Unix(),
	}
	if s := d.Decision.Fleet.Startup; s > 0 {
		p.Startup = lasted(s)
	}
	if p.Charted {
		p.ChartText = d.ChartText()
	}
	for i := range d.Decision.Signals {
		p.Readings = append(p.Readings, readingOf(&d.Decision.Signals[i]))
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
func stagesOf(d *policy.Decision, now time.Time) []stage {
	var list []stage
	before := d.Current
	for _, s := range d.Stages() {
		list = append(list, stage{
			Name: s.Name, Question: questions[s.Name], Replicas: s.Replicas, Changed: s.Replicas != before,
			Reason: s.Reason, Meaning: meaning(s.Reason), Until: clock(s.Until, now),
		})
		before = s.Replicas
	}
	return list
}
