package simulate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/serving"
)

// Score sums up a run.
type Score struct {
	// GPUHours is the time that pods held a GPU, one each.
	GPUHours float64 `json:"gpuHours"`
	// ScaleUps and ScaleDowns count the changes that were decided and written; Reversals those opposite in direction to the
	// one before.
	ScaleUps   int `json:"scaleUps"`
	ScaleDowns int `json:"scaleDowns"`
	Reversals  int `json:"reversals"`
	// MinutesOverTarget is the time in which a signal with a target was above it, however little.
	MinutesOverTarget float64 `json:"minutesOverTarget"`
	// Score is what the clients saw, nil without a load.
	*serving.Score
}

// Scorer adds up a Score tick by tick.
type Scorer struct {
	score             Score
	gpuSeconds, above float64 // in seconds
	last              int     // the direction of the last change
}

// Tick counts a tick that lasts until the next.
func (s *Scorer) Tick(d *policy.Decision, placed int, lasts time.Duration) {
	s.gpuSeconds += float64(placed) * lasts.Seconds()
	for i := range d.Signals {
		if sd := &d.Signals[i]; sd.Target > 0 && sd.Sampled > 0 && sd.Value > sd.Target {
			s.above += lasts.Seconds()
			return
		}
	}
}

// Wrote counts a change of replicas.
func (s *Scorer) Wrote(d *policy.Decision) {
	direction := 1
	if d.Desired > d.Current {
		s.score.ScaleUps++
	} else {
		direction = -1
		s.score.ScaleDowns++
	}
	if s.last == -direction {
		s.score.Reversals++
	}
	s.last = direction
}

// Score returns the Score of all ticks counted.
func (s *Scorer) Score() Score {
	s.score.GPUHours = s.gpuSeconds / 3600
	s.score.MinutesOverTarget = s.above / 60
	return s.score
}

// total is the Score with what the clients of a load saw.
func (s *Scorer) total(l *closedLoop, slo serving.SLO) Score {
	score := s.Score()
	if l != nil {
		served := l.model.Score(slo)
		score.Score = &served
	}
	return score
}

// scoreNumber is one number of a Score; requests says that there is one only with a load.
type scoreNumber struct {
	name     string
	requests bool
	value    func(*Score) float64
}

// scored are the numbers of a Score that may be expected.
var scored = []scoreNumber{
	{"gpu-hours", false, func(s *Score) float64 { return s.GPUHours }},
	{"scale-ups", false, func(s *Score) float64 { return float64(s.ScaleUps) }},
	{"scale-downs", false, func(s *Score) float64 { return float64(s.ScaleDowns) }},
	{"reversals", false, func(s *Score) float64 { return float64(s.Reversals) }},
	{"minutes-over-target", false, func(s *Score) float64 { return s.MinutesOverTarget }},
	{"requests", true, func(s *Score) float64 { return float64(s.Requests) }},
	{"completed", true, func(s *Score) float64 { return float64(s.Completed) }},
	{"slo-attainment", true, func(s *Score) float64 { return s.SLOAttainment }},
	{"ttft-p50", true, func(s *Score) float64 { return s.TTFTP50 }},
	{"ttft-p99", true, func(s *Score) float64 { return s.TTFTP99 }},
}

// scoreNames lists the names of the scores, those of requests too or not.
func scoreNames(requests bool) string {
	var names []string
	for _, s := range scored {
		if requests || !s.requests {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ", ")
}

// Expectation is a bound of one number of a Score.
type Expectation struct {
	score int // in scored
	least bool
	bound float64
}

// ParseExpectation reads the name of an expectation, such as max-reversals or min-slo-attainment, and its bound.
func ParseExpectation(name string, bound float64) (Expectation, error) {
	e := Expectation{bound: bound}
	scoreName, most := strings.CutPrefix(name, "max-")
	if !most {
		scoreName, e.least = strings.CutPrefix(name, "min-")
	}
	e.score = slices.IndexFunc(scored, func(n scoreNumber) bool { return n.name == scoreName })
	switch {
	case e.score < 0 || !most && !e.least:
		return e, fmt.Errorf("%q is not allowed: give min- or max- and one of %s", short(name), scoreNames(true))
	case math.IsNaN(bound):
		return e, fmt.Errorf("%s: NaN is not allowed: give a number", name)
	}
	return e, nil
}

// Name returns the name as it is parsed.
func (e Expectation) Name() string {
	if e.least {
		return "min-" + scored[e.score].name
	}
	return "max-" + scored[e.score].name
}

// requests reports whether it is about a number that only a load has.
func (e Expectation) requests() bool { return scored[e.score].requests }

// Check returns an error that names the number and its bound if the expectation does not hold.
func (e Expectation) Check(s *Score) error {
	want := &scored[e.score]
	if want.requests && s.Score == nil {
		return fmt.Errorf("%s: there were no requests, because there is no load", e.Name())
	}
	if strings.HasPrefix(want.name, "ttft-") && s.Requests > 0 && s.TTFTP50 == 0 {
		return fmt.Errorf("%s: there is no %s, because no request got a first token", e.Name(), want.name)
	}
	switch v := want.value(s); {
	case e.least && !(v >= e.bound):
		return fmt.Errorf("%s: %s is %s, which is below %s", e.Name(), want.name, decimals(v), decimals(e.bound))
	case !e.least && !(v <= e.bound):
		return fmt.Errorf("%s: %s is %s, which is above %s", e.Name(), want.name, decimals(v), decimals(e.bound))
	}
	return nil
}

// decimals prints a number in full.
func decimals(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
