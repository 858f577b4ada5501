package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Memory is what a Controller remembers of its targets, in the form in which it is served and read back.
type Memory struct {
	// Time is that of the tick after which it was so.
	Time    time.Time    `json:"time"`
	Targets []Remembered `json:"targets"`
}

// Remembered is what is remembered of one target.
type Remembered struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	UID       types.UID     `json:"uid"`
	State     *policy.State `json:"state"` // shared, never changed
	// Annotations are the last valid ones, ours alone.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// MemoryOf takes the Memory out of a Snapshot.
func MemoryOf(s *Snapshot) Memory {
	m := Memory{Time: s.Time, Targets: make([]Remembered, len(s.Workloads))}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		m.Targets[i] = Remembered{w.Namespace, w.Name, w.UID, w.State, w.valid}
	}
	return m
}

// Recall takes over what another Controller remembers, by the UID of the Deployment, and returns the number of targets of which that is
// nothing. Call it after Sync and before the first Tick.
func (c *Controller) Recall(m Memory) (unknown int) {
	c.ticking.Lock()
	defer c.ticking.Unlock()
	targets := make(map[types.UID]*Remembered, len(m.Targets))
	for i := range m.Targets {
		targets[m.Targets[i].UID] = &m.Targets[i]
	}
	for _, t := range c.refresh() {
		r := targets[t.seen.uid]
		if r == nil {
			unknown++
			continue
		}
		if t.state = r.State; t.state == nil {
			t.state = &policy.State{}
		}
		t.recall(r.Annotations, t.seen.annotations, c.parse)
		if len(t.problems) == 0 && len(r.Annotations) > 0 && !sameAnnotations(r.Annotations, t.seen.annotations) {
			t.remembers(t.state.Edited())
		}
	}
	return unknown
}
