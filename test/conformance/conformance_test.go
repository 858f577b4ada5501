// Package conformance compares policy.Decide with the HorizontalPodAutoscaler of Kubernetes itself: see README.md.
package conformance

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

var (
	seeds   = flag.Int("seeds", 5000, "how many random scenarios to compare")
	oneSeed = flag.Int64("seed", -1, "compare only the scenario of this seed and print its ticks")
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	flag.Parse()
	os.Exit(m.Run())
}

// TestConformance wants the HPA's replicas, tick by tick, from Decide.
func TestConformance(t *testing.T) {
	if *oneSeed >= 0 {
		playOne(t, uint64(*oneSeed))
		return
	}
	shards := runtime.GOMAXPROCS(0)
	tallies := make([]*tally, shards)
	t.Run("seeds", func(t *testing.T) {
		for shard := range shards {
			tallies[shard] = newTally()
			a := hpa.New(t.Context())
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				playShard(t, a, tallies[shard], shard, shards)
			})
		}
	})
	total := newTally()
	for _, count := range tallies {
		total.add(count)
	}
	t.Logf("%d scenarios, %d ticks; ended early by an exception: %v; reasons: %v", total.seeds, total.ticks, total.ended, total.reasons)
	if !t.Failed() && *seeds >= 1000 {
		total.check(t)
	}
}

// playShard runs every so manyth seed.
func playShard(t *testing.T, a *hpa.Autoscaler, count *tally, shard, shards int) {
	const enough = 3 // differences
	synctest.Test(t, func(t *testing.T) {
		failed := 0
		for seed := shard; seed < *seeds && failed < enough; seed += shards {
			r := newReplay(uint64(seed), a, count, 12)
			if err := r.play(); err != nil {
				t.Errorf("%v\nreplay it with -run TestConformance -seed %d\n%s", err, seed, r.tell())
				failed++
			}
		}
	})
}

// playOne runs one seed and tells all of its ticks.
func playOne(t *testing.T, seed uint64) {
	a := hpa.New(t.Context())
	r := newReplay(seed, a, newTally(), -1)
	synctest.Test(t, func(t *testing.T) {
		if err := r.play(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%s%d ticks, ended early by an exception: %v", r.tell(), r.tally.ticks, r.tally.ended)
}

// add adds another tally.
func (c *tally) add(other *tally) {
	c.seeds += other.seeds
	c.ticks += other.ticks
	for x, n := range other.ended {
		c.ended[x] += n
	}
	for reason, n := range other.reasons {
		c.reasons[reason] += n
	}
}

// check wants the scenarios to be worth something: that nearly all are compared to their end, and that all that the two
// have in common happens in them, often.
func (c *tally) check(t *testing.T) {
	early := 0
	for _, n := range c.ended {
		early += n
	}
	if most := c.seeds / 10; early > most {
		t.Errorf("an exception ended %d of %d scenarios early; want at most %d", early, c.seeds, most)
	}
	for _, x := range []exception{forgottenEvent, coverage, gap} {
		if c.ended[x] == 0 {
			t.Errorf("the exception %q never showed: it is none, or no scenario can show it", x)
		}
	}
	for _, reason := range []policy.Reason{
		policy.ScaleDownStabilized, policy.ScaleUpStabilized, policy.ScaleUpLimit, policy.ScaleDownLimit, policy.TooManyReplicas,
		policy.TooFewReplicas, policy.DesiredWithinRange, policy.ReadyForNewScale, policy.ScalingDisabled, policy.WithinTolerance,
		policy.NoData, policy.StaleData, policy.PartialData,
	} {
		if want := c.seeds / 10; c.reasons[reason] < want {
			t.Errorf("the reason %s was given %d times in %d scenarios; want %d or more", reason, c.reasons[reason], c.seeds, want)
		}
	}
}
