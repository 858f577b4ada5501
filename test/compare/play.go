package compare

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

const (
	// worldTick is the tick of the simulated world, in which pods become ready and metrics are read.
	worldTick = time.Second
	// seeds is how many courses of each load there are.
	seeds = 5
	// startReplicas are ready at the start.
	startReplicas = 2
)

// slo is what every request is promised.
var slo = serving.SLO{TTFT: 2 * time.Second}

// outcome is how a run went, or a mean of several.
type outcome struct {
	// attainment is the share of the requests whose first token came within the SLO, 0 to 1.
	attainment float64
	// ttftP99 is in seconds.
	ttftP99   float64
	gpuHours  float64
	peakPods  float64
	reversals float64
}

// result is one setting of an arm in a cell, the mean over the seeds.
type result struct {
	arm, setting string
	outcome
}

// comparison is what all arms did in one cell: results[i][k] is the k-th setting of the i-th arm.
type comparison struct {
	cell    cell
	results [][]result
}

// run is one setting in one cell with one seed.
type run struct {
	cell         *cell
	arm          *arm
	setting      *setting
	seed, phases int
	outcome      *outcome
}

// play plays every setting of every arm in every cell, with the first so many seeds, on all processors. The same arguments give the same
// results. Each processor has its own Autoscaler of Kubernetes, whose clock is that of a synctest bubble: hence the T.
func play(t *testing.T, cells []cell, arms []arm, courses int, progress func(done, of int)) []comparison {
	t.Helper()
	comparisons, runs := prepare(cells, arms, courses)
	outcomes := make([]outcome, len(runs))
	var next, done atomic.Int64
	t.Run("play", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			a := hpa.New(t.Context())
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					for i := next.Add(1) - 1; i < int64(len(runs)); i = next.Add(1) - 1 {
						o, err := runs[i].play(a, fmt.Sprint(i))
						if err != nil {
							t.Fatalf("%s %s in %v, seed %d: %v", runs[i].arm.name, runs[i].setting.name, runs[i].cell, runs[i].seed, err)
						}
						outcomes[i] = o
						progress(int(done.Add(1)), len(runs))
					}
				})
			})
		}
	})
	for i := range runs {
		runs[i].outcome.add(&outcomes[i], 1/float64(courses))
	}
	return comparisons
}

// prepare lists the runs, and where their outcomes belong. The runs of a cell stand together.
func prepare(cells []cell, arms []arm, courses int) ([]comparison, []run) {
	comparisons := make([]comparison, len(cells))
	var runs []run
	for c := range cells {
		comparisons[c] = comparison{cell: cells[c], results: make([][]result, len(arms))}
		for i := range arms {
			list := make([]result, len(arms[i].settings))
			comparisons[c].results[i] = list
			for k := range list {
				list[k] = result{arm: arms[i].name, setting: arms[i].settings[k].name}
				for seed := range courses {
					runs = append(runs, run{
						cell: &comparisons[c].cell, arm: &arms[i], setting: &arms[i].settings[k], seed: seed + 1, phases: courses,
						outcome: &list[k].outcome,
					})
				}
			}
		}
	}
	return comparisons, runs
}

// play plays one run inside a synctest bubble.
func (r *run) play(a *hpa.Autoscaler, key string) (outcome, error) {
	requests, err := r.cell.load.requests(uint64(r.seed))
	if err != nil {
		return outcome{}, err
	}
	// The pace of no autoscaler keeps step with the load: with each seed it begins at another moment.
	first := (r.arm.interval * time.Duration(r.seed-1) / time.Duration(r.phases)).Truncate(worldTick)
	played, err := simulate.Run(simulate.Scenario{
		Spec:     spec,
		Decide:   r.arm.paced(r.setting.start(a, key), first),
		Start:    time.Now(),
		Interval: worldTick,
		Duration: r.cell.load.duration,
		Replicas: startReplicas,
		Startup:  r.cell.startup,
		Load:     requests,
		SLO:      slo,
		Events:   r.cell.hazard.events(r.cell.load.rise(uint64(r.seed))),
	})
	if err != nil {
		return outcome{}, err
	}
	return outcomeOf(&played), nil
}

// outcomeOf takes from a run what is compared.
func outcomeOf(played *simulate.Result) outcome {
	o := outcome{
		attainment: played.Score.SLOAttainment, ttftP99: played.Score.TTFTP99,
		gpuHours: played.Score.GPUHours, reversals: float64(played.Score.Reversals),
	}
	for i := range played.Ticks {
		o.peakPods = max(o.peakPods, float64(played.Ticks[i].Replicas))
	}
	return o
}

// add adds a share of another outcome.
func (o *outcome) add(other *outcome, share float64) {
	o.attainment += share * other.attainment
	o.ttftP99 += share * other.ttftP99
	o.gpuHours += share * other.gpuHours
	o.peakPods += share * other.peakPods
	o.reversals += share * other.reversals
}
