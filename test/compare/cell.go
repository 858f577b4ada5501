package compare

import (
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// hazard is what goes wrong in a cell.
type hazard string

const (
	// calm: nothing.
	calm hazard = "none"
	// outage: one minute after the load has begun to rise there are no metrics for three minutes.
	outage hazard = "outage"
	// shortage: from a minute before the load rises the cluster can place four pods, for twenty minutes.
	shortage hazard = "shortage"
)

// The numbers of the hazards.
const (
	outageAfter    = time.Minute
	outageFor      = 3 * time.Minute
	shortageBefore = time.Minute
	shortageFor    = 20 * time.Minute
	shortageGPUs   = 4
)

// events are what the hazard does around a rise of the load.
func (h hazard) events(rise time.Duration) []simulate.Event {
	switch h {
	case outage:
		return []simulate.Event{{At: rise + outageAfter, For: outageFor, Kind: simulate.Outage}}
	case shortage:
		return []simulate.Event{{At: rise - shortageBefore, For: shortageFor, Kind: simulate.SetGPUs, Number: shortageGPUs}}
	}
	return nil
}

// cell is one situation, in which every autoscaler is played.
type cell struct {
	load    load
	startup time.Duration
	hazard  hazard
}

// String names the cell.
func (c *cell) String() string {
	return fmt.Sprintf("%s, startup %v, hazard %s", c.load.name, c.startup, c.hazard)
}

// startups are the times from placement to Ready that are compared.
var startups = []time.Duration{0, 30 * time.Second, 60 * time.Second, 120 * time.Second, 300 * time.Second}

// slow is the startup time from which on ours has to be better.
const slow = 60 * time.Second

// cells returns every load with every startup time and every hazard.
func cells(loads []load, startups []time.Duration, hazards []hazard) []cell {
	var all []cell
	for _, h := range hazards {
		for _, s := range startups {
			for _, l := range loads {
				all = append(all, cell{l, s, h})
			}
		}
	}
	return all
}
