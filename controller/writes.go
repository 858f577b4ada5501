package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gpuscaler/gpuscaler/policy"
)

const (
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
	// maxInFlight is how many writes are under way at once when the API server is well. It sustains about 700 a second with 16.
	maxInFlight = 24
	// maxOfNamespace is how many of them may be of one namespace. What is left over is for the others, whatever a namespace's
	// webhooks and quotas do to its own.
	maxOfNamespace = 16
	// slowWrite is after what time a write no longer takes up the place of another. It goes on counting for its namespace, so that
	// several namespaces whose writes hang cannot take all places either.
	slowWrite = 2 * time.Second
)

// job is a change on its way.
type job struct {
	change
	scaler scaler
	// decision is what asked for it, at its time.
	decision policy.Decision
}

// outcome is what has become of a job.
type outcome struct {
	job
	written
	result result
	err    error
	// after is how long the API server asked to be left alone, 0 if it did not.
	after time.Duration
}

// result classes what can become of a write; it is the label of a metric.
type result string

const (
	success    result = "success"
	conflict   result = "conflict"   // a lost race: 422 or 409
	forbidden  result = "forbidden"  // 403, a right is missing or a webhook refused
	throttled  result = "throttled"  // 429
	gone       result = "gone"       // 404
	notLeader  result = "not_leader" // the gate was shut
	superseded result = "superseded" // not sent before the next tick, which decides anew
	dry        result = "dry_run"
	unknown    result = "unknown" // no answer: it may have been made or not
	failed     result = "error"
)

// results lists them all.
var results = []result{success, conflict, forbidden, throttled, gone, notLeader, superseded, dry, unknown, failed}

// WriteResults returns what can become of a write: the values of the label result of gpuscaler_scale_writes_total.
func WriteResults() []string {
	texts := make([]string, len(results))
	for i, r := range results {
		texts[i] = string(r)
	}
	return texts
}

// writes carries out changes beside the loop: raises before lowers, a bounded number at once, each once, and namespaces in turn. One
// that hangs holds up no other.
type writes struct {
	// gate is asked right before each write.
	gate gate
	// done is told of each outcome as it comes, from several goroutines.
	done func(*outcome)

	mu             sync.Mutex
	raises, lowers lane
	inFlight       int // those that are slow left out
	limit          int // how many may be in flight: halved when the API server says it is overloaded, one more after each success
	// shares are the namespaces that have writes under way.
	shares   map[string]*share
	outcomes []*outcome
	idle     chan struct{} // closed when nothing is under way any more, nil if nobody waits
}

// share is what one namespace has of the writes under way.
type share struct {
	underWay int // those that are slow included
	limit    int // halved by each that gets no answer or is slow, one more after each success
}

// add queues a change.
func (w *writes) add(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j.to > j.from {
		w.raises.add(j)
	} else {
		w.lowers.add(j)
	}
}

// start sends what is queued, as far as the limit allows.
func (w *writes) start(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pump(ctx)
}

// pump starts queued jobs. Call it with mu held.
func (w *writes) pump(ctx context.Context) {
	if w.limit == 0 {
		w.limit = maxInFlight
	}
	for w.inFlight < w.limit {
		j := w.raises.next(w.may)
		if j == nil {
			j = w.lowers.next(w.may)
		}
		if j == nil {
			return
		}
		w.inFlight++
		w.share(j.namespace).underWay++
		go w.run(ctx, j)
	}
}

// may reports whether a namespace may have one more under way. Call it with mu held.
func (w *writes) may(namespace string) bool {
	s := w.shares[namespace]
	return s == nil || s.underWay < s.limit
}

// share finds or makes the share of a namespace. Call it with mu held.
func (w *writes) share(namespace string) *share {
	if w.shares == nil {
		w.shares = map[string]*share{}
	}
	if w.shares[namespace] == nil {
		w.shares[namespace] = &share{limit: maxOfNamespace}
	}
	return w.shares[namespace]
}

// run carries out one job and starts the next.
func (w *writes) run(ctx context.Context, j *job) {
	slow := time.AfterFunc(slowWrite, func() { w.makeWay(ctx, j) })
	o := w.carryOut(ctx, j)
	inTime := slow.Stop()
	w.done(o)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes = append(w.outcomes, o)
	w.adapt(o, inTime)
	if inTime {
		w.inFlight--
	}
	w.pump(ctx)
	if len(w.shares) == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// makeWay gives the place of a slow write to another.
func (w *writes) makeWay(ctx context.Context, j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inFlight--
	if s := w.shares[j.namespace]; s != nil {
		s.limit = max(s.limit/2, 1)
	}
	w.pump(ctx)
}

// adapt takes a write off its namespace's share and learns from what has become of it. That the API server is overloaded it says of
// itself; a write without an answer may have hung in a webhook that is for its namespace alone. Call it with mu held.
func (w *writes) adapt(o *outcome, inTime bool) {
	s := w.shares[o.namespace]
	switch o.result {
	case success:
		w.limit = min(w.limit+1, maxInFlight)
		s.limit = min(s.limit+1, maxOfNamespace)
	case throttled:
		w.limit = max(w.limit/2, 1)
	case unknown:
		if inTime { // makeWay has learned of the others
			s.limit = max(s.limit/2, 1)
		}
	}
	if s.underWay--; s.underWay == 0 {
		delete(w.shares, o.namespace)
	}
}

// carryOut asks the gate and writes. A write that has begun is not cut off when the loop ends: it would be made or not
// without anyone knowing.
func (w *writes) carryOut(ctx context.Context, j *job) (o *outcome) {
	o = &outcome{job: *j}
	defer func() {
		if p := recover(); p != nil {
			o.err = fmt.Errorf("scaling %s/%s: panic: %v", j.namespace, j.name, p)
			o.result = unknown
		}
	}()
	if ctx.Err() != nil {
		o.result = superseded
		return o
	}
	deadline, err := w.gate()
	if err != nil {
		o.err, o.result = err, notLeader
		return o
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, writeTimeout)
	defer cancelTimeout()
	o.written, o.err = j.scaler.Scale(ctx, j.change)
	o.result, o.after = classify(o.err)
	if o.err != nil && len(o.err.Error()) > maxEventMessage {
		o.err = errors.New(brief(o.err.Error())) // a webhook may say anything
	}
	return o
}

// classify says what an error of a write means.
func classify(err error) (r result, after time.Duration) {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return success, 0
	case errors.Is(err, errDryRun):
		return dry, 0
	case apierrors.IsInvalid(err), apierrors.IsConflict(err):
		return conflict, 0
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return forbidden, 0
	case apierrors.IsNotFound(err):
		return gone, 0
	case apierrors.IsTooManyRequests(err):
		seconds, _ := apierrors.SuggestsClientDelay(err)
		return throttled, time.Duration(max(seconds, 1)) * time.Second
	case errors.As(err, &status) && status.Status().Code >= 400 && status.Status().Code < 500:
		return failed, 0
	}
	// Timeouts, broken connections and a server's own errors leave open whether it was made.
	return unknown, 0
}

// collect returns the outcomes since the last time. What has not been sent yet is taken back: the tick that follows
// decides with newer data.
func (w *writes) collect() []*outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.outcomes
	w.outcomes = nil
	for _, queue := range []*lane{&w.raises, &w.lowers} {
		for _, j := range queue.clear() {
			list = append(list, &outcome{job: *j, result: superseded})
		}
	}
	return list
}

// wait returns when nothing is under way or the context ends. Queued jobs are taken back first.
func (w *writes) wait(ctx context.Context) {
	w.mu.Lock()
	w.raises, w.lowers = lane{}, lane{}
	if len(w.shares) == 0 {
		w.mu.Unlock()
		return
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
