package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// cluster is a world whose pods take time and places: a Deployment as the rules about waiting for GPUs see it.
type cluster struct {
	world
	t       testing.TB
	created int
	pods    []Pod
	// places is how many pods have room, startup what a pod takes; one of broken never comes up.
	places  int
	startup time.Duration
	broken  bool
	// knows says that Free is known.
	knows bool
	// edit changes the next observation.
	edit func(*Observation)
}

func newCluster(t testing.TB, replicas int, annotations map[string]string) *cluster {
	c := &cluster{t: t, places: 1 << 20, world: world{replicas: replicas, now: testStart, spec: mustParse(t, annotations)}}
	c.sync()
	for i := range c.pods {
		c.pods[i].Phase, c.pods[i].Since, c.pods[i].Scheduled = Ready, time.Time{}, time.Time{}
	}
	return c
}

// sync has the pods follow the replicas: those without a place go first, then the youngest.
func (c *cluster) sync() {
	for len(c.pods) > c.replicas {
		i := slices.IndexFunc(c.pods, func(p Pod) bool { return p.Phase == Unschedulable })
		if i < 0 {
			i = len(c.pods) - 1
		}
		c.pods = slices.Delete(c.pods, i, i+1)
	}
	for len(c.pods) < c.replicas {
		c.pods = append(c.pods, Pod{Name: fmt.Sprintf("pod-%d", c.created), Phase: Unschedulable, Since: c.now})
		c.created++
	}
	placed := 0
	for _, p := range c.pods {
		if p.Phase != Unschedulable {
			placed++
		}
	}
	for i := range c.pods {
		if p := &c.pods[i]; p.Phase == Unschedulable && placed < c.places {
			p.Phase, p.Since, p.Scheduled = Loading, c.now, c.now
			placed++
		}
	}
}

// look is the observation in which every Ready pod reads the values.
func (c *cluster) look(values map[Signal]float64) Observation {
	c.sync()
	o := Observation{Replicas: c.replicas}
	placed := 0
	for i := range c.pods {
		p := &c.pods[i]
		if p.Phase == Loading && !p.Served && !c.broken && c.now.Sub(p.Scheduled) >= c.startup {
			p.Phase, p.Since, p.Served = Ready, c.now, true
			o.Started = append(o.Started, c.now.Sub(p.Scheduled))
		}
		if p.Phase != Unschedulable {
			placed++
		}
	}
	o.Pods = slices.Clone(c.pods)
	o.FreeKnown, o.Free, o.Lacking = c.knows, max(c.places-placed, 0), "nvidia.com/gpu"
	for _, info := range signals {
		v, ok := values[info.Signal]
		if !ok {
			continue
		}
		r := Reading{Signal: info.Signal}
		for _, p := range o.Pods {
			r.Samples = append(r.Samples, Sample{Value: v, Time: c.now, OK: p.Phase == Ready})
		}
		o.Readings = append(o.Readings, r)
	}
	if c.edit != nil {
		c.edit(&o)
	}
	return o
}

// tick has the pods follow the write at its time.
func (c *cluster) tick(o Observation) Decision {
	at := c.now
	d := c.world.tick(o)
	next := c.now
	c.now = at
	c.sync()
	c.now = next
	return d
}

// run ticks with the same readings and returns the replicas after each tick.
func (c *cluster) run(ticks int, values map[Signal]float64) []int {
	var got []int
	for range ticks {
		got = append(got, c.tick(c.look(values)).Desired)
	}
	return got
}

// expect runs and compares.
func (c *cluster) expect(what string, values map[Signal]float64, want ...int) {
	c.t.Helper()
	if got := c.run(len(want), values); !slices.Equal(got, want) {
		c.t.Errorf("%s: replicas %v, want %v", what, got, want)
	}
}

func util(v float64) map[Signal]float64 { return map[Signal]float64{GPUUtilization: v} }

func running(v float64) map[Signal]float64 { return map[Signal]float64{RunningRequests: v} }
