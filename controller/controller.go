package controller

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Controller scales the Deployments that opted in. Run is its whole life; Sync and Tick are one pass of it, for `plan`.
type Controller struct {
	options Options
	log     logr.Logger
	watches *watches
	scaler  scaler
	writes  *writes
	// marker marks pods, nil in a dry run.
	marker *marker
	lease  *lease // nil without leader election
	// checkpoints are written by a leader, nil without leader election.
	checkpoints *checkpoints
	recorder    *recorder
	metrics     *instruments

	// ticking is held during a tick: there are never two at once.
	ticking sync.Mutex
	// targets are what is remembered, by the Deployment's UID. Only the tick touches them.
	targets map[types.UID]*target
	// ticked is the time of the last tick, zero before the first. Only the tick touches it.
	ticked time.Time
	// unwatched are the scopes whose Deployments were not watched at the last tick. Only the tick touches them.
	unwatched map[string]string
	// failing are the signals whose last query failed, and dropping the custom ones whose samples were dropped. Only the
	// tick touches them.
	failing  map[string]bool
	dropping map[policy.Signal]bool
	parse    parser

	snapshot atomic.Pointer[Snapshot]
	// alive is when the last tick finished, or when this process became leader; nil before.
	alive atomic.Pointer[time.Time]
	ready atomic.Bool
}

// New makes a Controller. It returns everything that is wrong with the Options at once.
func New(o Options) (*Controller, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("invalid controller options: %w", err)
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.QueryTimeout == 0 {
		o.QueryTimeout = o.Settings.Interval * 4 / 5
	}
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	c := &Controller{
		options: o,
		log:     o.Logger,
		watches: newWatches(&o),
		targets: map[types.UID]*target{},
	}
	c.snapshot.Store(&Snapshot{})
	c.metrics = newInstruments(c)
	c.parse = c.guarded(func(annotations map[string]string) (policy.Spec, policy.Problems) {
		return policy.Parse(annotations, c.options.Settings)
	})
	c.writes = &writes{gate: open, done: c.wrote}
	c.scaler = &patcher{apps: o.Client.AppsV1().RESTClient()}
	c.marker = &marker{o.Client.CoreV1(), func() (time.Time, error) { return c.writes.gate() }, make(chan struct{}, maxMarking)}
	if o.DryRun {
		c.scaler, c.marker = dryRun{c.log}, nil
	}
	if o.Events && !o.DryRun {
		c.recorder = newRecorder(o.Client, o.Logger)
	}
	if o.LeaderElection != nil {
		if err := c.elect(); err != nil {
			return nil, err
		}
	}
	if o.Registry != nil {
		if err := c.metrics.register(o.Registry); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// elect prepares the election and makes its lease the gate of all writes.
func (c *Controller) elect() (err error) {
	c.lease, err = newLease(c.options.LeaderElection, c.writes.wait)
	if err == nil {
		c.writes.gate = c.lease.gate
		c.checkpoints = newCheckpoints(&c.options, c.lease.gate)
	}
	return err
}

// Sync starts the watches, which last until the context ends, and returns when all have been listed once. It fails with
// what could not be listed and why when that takes longer than patience, or when the context ends.
func (c *Controller) Sync(ctx context.Context, patience time.Duration) error {
	c.watches.start(logr.NewContext(ctx, c.log))
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.watches.wait(wait, c.watches.allSynced); err != nil {
		return err
	}
	c.watches.waitBesides(ctx)
	c.ready.Store(true)
	return nil
}

// Snapshot returns the outcome of the last tick; before the first it is empty, never nil.
func (c *Controller) Snapshot() *Snapshot { return c.snapshot.Load() }

// Leading reports whether this process decides now: always if no leader is elected.
func (c *Controller) Leading() bool { return c.lease == nil || c.lease.leads() }

// Handler serves /healthz, /readyz, /metrics, /api/v1/workloads and the dashboard at /.
func (c *Controller) Handler() http.Handler { return c.handler(c.forward) }

// SecureHandler serves the same where callers are authorised before, by package access, and with TLS. A standby forwards with the
// caller's token to the leader's HTTPS server, so peer has to verify that it is one of ours; nil forwards nothing.
func (c *Controller) SecureHandler(peer *tls.Config) http.Handler {
	return c.handler(c.forwardSecurely(peer))
}
