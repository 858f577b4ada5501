package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// optional is a watch that the controller can do without: the right to it may be missing, or its kind may not exist here. While it
// is refused its store is empty and it is tried again now and then; a missing right is told once.
type optional struct {
	what string
	// without says what is not known without it.
	without string
	// exists reports whether there is such a kind. Where a right is missing the API server refuses without telling. Nil means always.
	exists func() bool
	watch  func(context.Context)
	into   resettable

	// running is held while it watches: a watch that is stopped and started again must not be reset by its past.
	running sync.Mutex

	mu sync.Mutex
	// stop ends it, nil while it is not wanted.
	stop context.CancelFunc
	// abandon ends the present attempt.
	abandon context.CancelFunc
	// refusal is why the last attempt was given up, nil if it goes on.
	refusal error
	// told says that a missing right has been told of, failing that a failure has.
	told, failing bool
	log           logr.Logger
}

// resettable is a store that can be emptied.
type resettable interface {
	cache.ReflectorStore
	isSynced() bool
	reset()
}

// optionalPause is the time between two attempts at a watch that is refused: how long a CustomResourceDefinition that has just been
// made, or a right that has just been granted, may go unnoticed.
const optionalPause = time.Minute

// optionally makes the optional watch that keeps a store up to date.
func optionally[T object, L runtime.Object](what, without string, from *narrowed[T, L], into resettable) *optional {
	o := &optional{what: what, without: without, into: into, log: logr.Discard()}
	o.watch = func(ctx context.Context) { keepUp(ctx, what, from, into, nil) }
	from.told = o.note
	return o
}

// want starts or stops it. It lasts until the context ends at most.
func (o *optional) want(ctx context.Context, wanted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case wanted && o.stop == nil:
		o.log = logr.FromContextOrDiscard(ctx)
		ctx, o.stop = context.WithCancel(logr.NewContext(ctx, logr.Discard())) // its failures are told by note, and once
		go o.run(ctx)
	case !wanted && o.stop != nil:
		o.stop()
		o.stop, o.refusal = nil, nil
	}
}

// settled reports whether it is watched and has been listed, or is refused.
func (o *optional) settled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stop != nil && (o.refusal != nil || o.into.isSynced())
}

// run watches until the context ends.
func (o *optional) run(ctx context.Context) {
	o.running.Lock()
	defer o.running.Unlock()
	for {
		attempt, abandon := context.WithCancel(ctx)
		o.mu.Lock()
		o.abandon = abandon
		o.mu.Unlock()
		o.watch(attempt)
		abandon()
		o.into.reset()
		if ctx.Err() != nil {
			return
		}
		o.tellRefusal()
		if !sleep(ctx, optionalPause) {
			return
		}
	}
}

// note takes the outcome of a request: a refusal ends the attempt, other failures are tried again at once.
func (o *optional) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		if o.told || o.failing {
			o.log.Info("Watching works now", "what", o.what)
		}
		o.refusal, o.told, o.failing = nil, false, false
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		o.refusal = err
		o.abandon()
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err), apierrors.IsInvalid(err): // in daily work: it is listed anew, or not streamed
	case !o.failing:
		o.failing = true
		o.log.Error(err, "Watching fails, it is tried again and again", "what", o.what, "until then", o.without)
	}
}

// tellRefusal tells that a right is missing, once.
func (o *optional) tellRefusal() {
	o.mu.Lock()
	err, told := o.refusal, o.told
	o.mu.Unlock()
	if told || err == nil || !apierrors.IsForbidden(err) || o.exists != nil && !o.exists() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = true
	o.log.Info("Not watched, the right is missing", "what", o.what, "so", o.without, "answer", err.Error())
}
