package stage

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// Load is a load that a Deployment's pods share, as GPU utilization in percent. It can be replaced by readings that no GPU can have.
type Load struct {
	*fleet.Shared
	instead atomic.Uint64 // bits of what every pod reads; 0 means its share of the load
}

// NewLoad makes one of so many percent for all pods together.
func NewLoad(total float64) *Load {
	l := &Load{}
	l.Shared = fleet.NewShared(func(share float64) fleet.Reading {
		if v := math.Float64frombits(l.instead.Load()); v != 0 {
			return fleet.Reading{GPUUtilization: v}
		}
		return fleet.Reading{GPUUtilization: min(share, 100)}
	})
	l.SetLoad(total)
	return l
}

// Read lets every pod read a value from the next SetLoad on, whatever the load; 0 ends it.
func (l *Load) Read(v float64) { l.instead.Store(math.Float64bits(v)) }

// Sampled waits until a query of Prometheus gives a value that is at least so high, and returns when it did.
func Sampled(t testing.TB, p *prom.Server, query string, least float64) time.Time {
	t.Helper()
	bed.WaitFor(t, 20*time.Second, query, func() error {
		samples, err := p.Query(t.Context(), query)
		if err != nil {
			return err
		}
		if len(samples) == 0 || samples[0].Value < least {
			return bed.Want("samples at or above the value", 0, 1)
		}
		return nil
	})
	return time.Now()
}
