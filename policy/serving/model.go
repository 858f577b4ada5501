package serving

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Model is a load and the replicas that serve it, in virtual time that starts at 0. It is not safe for concurrent use.
type Model struct {
	server   Server
	window   float64 // seconds
	now      float64 // seconds
	arrivals arrivals
	ledger   ledger
	replicas []*replica // in the order of SetReplicas
	byName   map[string]*replica
	pending  queue
}

// New returns a model at time 0, with no replicas, and at rate 0 unless it plays a trace. Its error is that of
// Config.Validate.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	m := &Model{server: c.Server, window: c.Window.Seconds(), byName: map[string]*replica{}}
	if c.Trace != nil {
		m.arrivals = newReplay(c.Trace, c.Speed)
	} else {
		m.arrivals = newPoisson(c.Seed, c.PromptTokens, c.OutputTokens)
	}
	return m, nil
}

// SetRate changes the rate of arrivals from now on, in requests per second, 0 to 10000. It fails on a model that plays a
// trace, and then, as on any error, nothing has changed.
func (m *Model) SetRate(requestsPerSecond float64) error {
	p, ok := m.arrivals.(*poisson)
	if !ok {
		return errors.New("load.requests-per-second: not allowed together with load.trace: want one of them")
	}
	if err := wantNumber("load.requests-per-second", requestsPerSecond, 0, maxRate); err != nil {
		return err
	}
	p.setRate(requestsPerSecond, m.now)
	return nil
}

// SetReplicas says which replicas are ready now, in order of their creation, by which ties of routing are broken. New
// ones start empty and serve what waits at the gateway. The requests of those no longer named go to the others, or to
// the gateway if there are none, and begin anew. A name must not appear twice; if one does, nothing has changed.
func (m *Model) SetReplicas(ready []string) error {
	if slices.EqualFunc(ready, m.replicas, func(name string, r *replica) bool { return name == r.name }) {
		return nil
	}
	byName := make(map[string]*replica, len(ready))
	replicas := make([]*replica, 0, len(ready))
	for _, name := range ready {
		if byName[name] != nil {
			return fmt.Errorf("setting replicas: %q appears twice: want each name once", name)
		}
		r := m.byName[name]
		if r == nil {
			r = newReplica(name, &m.server, &m.ledger, m.now)
		}
		byName[name] = r
		replicas = append(replicas, r)
	}
	homeless := slices.Clone(m.pending.all())
	for _, r := range m.replicas {
		if byName[r.name] == nil {
			homeless = append(homeless, r.evict()...)
		}
	}
	m.replicas, m.byName, m.pending = replicas, byName, queue{}
	slices.SortFunc(homeless, func(a, b *request) int { return cmp.Compare(a.id, b.id) })
	for _, q := range homeless {
		m.route(q, m.now)
	}
	return nil
}

// Advance runs the model to the given time since its start. A time that is past changes nothing. In how many pieces it
// is advanced makes no difference, to the last bit.
func (m *Model) Advance(to time.Duration) {
	t := to.Seconds()
	if t < m.now {
		return
	}
	for at := m.arrivals.next(); at <= t; at = m.arrivals.next() {
		m.settle(at)
		prompt, output := m.arrivals.take()
		m.route(m.ledger.open(prompt, output, at), at)
	}
	m.settle(t)
	m.now = t
}

// settle brings every replica up to t.
func (m *Model) settle(t float64) {
	for _, r := range m.replicas {
		if r.next <= t {
			r.advance(t)
		}
	}
}

// route sends q to the replica with the fewest requests, the oldest of them, or keeps it at the gateway.
func (m *Model) route(q *request, now float64) {
	if len(m.replicas) == 0 {
		m.pending.push(q)
		return
	}
	best := m.replicas[0]
	fewest := best.load()
	for _, r := range m.replicas[1:] {
		if load := r.load(); load < fewest {
			best, fewest = r, load
		}
	}
	best.enqueue(q, now)
}

// Read takes a reading of a replica at the time the model has reached, and closes the interval that the replica's next
// reading is taken over; false if no replica of that name is ready. A replica keeps what it has to tell until it is
// read, so read each regularly.
func (m *Model) Read(name string) (Load, bool) {
	r := m.byName[name]
	if r == nil {
		return Load{}, false
	}
	return r.read(m.now, m.window), true
}

// Pending is how many requests wait at the gateway because no replica is ready.
func (m *Model) Pending() int { return m.pending.len() }
