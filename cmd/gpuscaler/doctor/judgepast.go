package doctor

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

const (
	// minPoints is how many moments of the past are needed to tell anything from them.
	minPoints = 20
	// pinned is the utilization from which on a GPU tells nothing about how much more there is to do.
	pinned = 99
	// varied is the coefficient of variation from which on a load is said to have varied; related is the correlation below which a
	// signal is said not to follow it.
	varied, related = 0.25, 0.2
)

// judgePast judges whether a signal has moved, and with the load. Where there is too little past or too little load nothing is said.
func judgePast(f *findings, w *WorkloadFacts, r *ReadingFacts) {
	if len(r.Past) < minPoints {
		return
	}
	name := string(r.Signal)
	lowest, highest := bounds(r.Past)
	load := loadOf(r.Past)
	span := r.Past[len(r.Past)-1].Time.Sub(r.Past[0].Time).Round(time.Minute)
	switch {
	case r.Signal == policy.GPUUtilization && lowest >= pinned:
		f.add(Warning, FlatSignal, name, fmt.Sprintf("it was at %s to %s percent all through the last %v", number(lowest), number(highest), span),
			"it says that something runs, not how much: use running-requests or queue-depth, or raise max-replicas if it is at its maximum")
	case r.Signal == policy.GPUMemory && highest-lowest < 1:
		severity := Warning
		if w.Spec != nil && lowers(w.Spec) {
			severity = Info
		}
		f.add(severity, FlatSignal, name, fmt.Sprintf("it stayed at %s percent for the last %v", number(highest), span),
			"engines such as vLLM take their memory at the start and never give it back: use kv-cache beside running-requests")
	case highest == lowest && highest > 0 && load.varied():
		f.add(Warning, FollowsLoad, name, fmt.Sprintf("it stayed at %s for the last %v, while %s", number(highest), span, load.told(r.Load)),
			"look whether it is the right series; use a signal that moves with the load")
	case highest > lowest && load.varied():
		judgeCorrelation(f, r, load)
	}
}

// judgeCorrelation judges whether signal and load moved together.
func judgeCorrelation(f *findings, r *ReadingFacts, load loads) {
	name, c := string(r.Signal), load.correlation()
	text := fmt.Sprintf("correlation %.2f over %d minutes, while %s", c, load.n, load.told(r.Load))
	if c < related {
		f.add(Warning, FollowsLoad, name, "it did not follow the load: "+text, "scaling on it would follow something else: use a signal of the engine, such as running-requests")
		return
	}
	f.add(OK, FollowsLoad, name, "it follows the load: "+text, "")
}

// bounds are the lowest and the highest value.
func bounds(past []Point) (lowest, highest float64) {
	lowest, highest = math.Inf(1), math.Inf(-1)
	for _, p := range past {
		lowest, highest = min(lowest, p.Value), max(highest, p.Value)
	}
	return lowest, highest
}

// loads are the sums over the moments at which signal and load are known.
type loads struct {
	n                    int
	x, y, xx, yy, xy     float64
	lowestLoad, mostLoad float64
}

func loadOf(past []Point) loads {
	l := loads{lowestLoad: math.Inf(1), mostLoad: math.Inf(-1)}
	for _, p := range past {
		if !p.HasLoad {
			continue
		}
		l.n++
		l.x, l.y = l.x+p.Value, l.y+p.Load
		l.xx, l.yy, l.xy = l.xx+p.Value*p.Value, l.yy+p.Load*p.Load, l.xy+p.Value*p.Load
		l.lowestLoad, l.mostLoad = min(l.lowestLoad, p.Load), max(l.mostLoad, p.Load)
	}
	return l
}

// varied reports whether the load has changed enough to tell anything from it.
func (l *loads) varied() bool {
	if l.n < minPoints || l.y <= 0 {
		return false
	}
	n := float64(l.n)
	mean := l.y / n
	return math.Sqrt(max(l.yy/n-mean*mean, 0))/mean >= varied
}

// correlation is Pearson's, 0 where one of the two did not move.
func (l *loads) correlation() float64 {
	n := float64(l.n)
	spread := math.Sqrt(max(n*l.xx-l.x*l.x, 0)) * math.Sqrt(max(n*l.yy-l.y*l.y, 0))
	if spread == 0 {
		return 0
	}
	return (n*l.xy - l.x*l.y) / spread
}

// told tells how the load moved.
func (l *loads) told(signal policy.Signal) string {
	return fmt.Sprintf("%s per pod went from %s to %s", signal, number(l.lowestLoad), number(l.mostLoad))
}

// number prints a reading in as many digits as say something.
func number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
