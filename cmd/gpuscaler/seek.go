package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// seekEvery is how long a search for Prometheus that found none waits for the next.
const seekEvery = time.Minute

// seeker reads from a Prometheus that is looked for while the controller runs: bounds hold without one, nothing is lowered, and one
// that is installed later needs no restart.
type seeker struct {
	look    func(context.Context) (*source, error)
	queries metrics.Queries
	found   atomic.Pointer[source]
	// failure is why the last search found none.
	failure atomic.Pointer[error]
}

// seek looks at once, and goes on until it finds one or the context ends.
func seek(ctx context.Context, look func(context.Context) (*source, error), queries metrics.Queries, log logr.Logger) *seeker {
	k := &seeker{look: look, queries: queries}
	if k.try(ctx, log) {
		return k
	}
	go func() {
		ticker := time.NewTicker(seekEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if k.try(ctx, log) {
					return
				}
			}
		}
	}()
	return k
}

// try looks once. It tells of a failure only when it is another than before.
func (k *seeker) try(ctx context.Context, log logr.Logger) bool {
	s, err := k.look(ctx)
	if err == nil {
		k.found.Store(s)
		log.Info("Prometheus is found", "prometheus", s.name)
		return true
	}
	if old := k.failure.Swap(&err); ctx.Err() == nil && (old == nil || (*old).Error() != err.Error()) {
		log.Error(err, "No Prometheus is read: name it with --prometheus-url, or install one; it is looked for again", "every", seekEvery.String())
	}
	return false
}

// prometheus is the one that was found; the error says why there is none.
func (k *seeker) prometheus() (*source, error) {
	if s := k.found.Load(); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no Prometheus is read: %w", *k.failure.Load())
}

// Read implements controller.SignalReader.
func (k *seeker) Read(ctx context.Context, signal policy.Signal, namespaces []string) (controller.Readings, error) {
	s, err := k.prometheus()
	if err != nil {
		return controller.Readings{}, err
	}
	return s.Read(ctx, signal, namespaces)
}

// ReadTimes implements controller.TimeReader.
func (k *seeker) ReadTimes(ctx context.Context, signal policy.Signal, namespaces []string) (controller.Readings, error) {
	s, err := k.prometheus()
	if err != nil {
		return controller.Readings{}, err
	}
	return s.ReadTimes(ctx, signal, namespaces)
}

// ReadQuery implements controller.QueryReader.
func (k *seeker) ReadQuery(ctx context.Context, name, namespace, deployment string) (controller.Readings, error) {
	s, err := k.prometheus()
	if err != nil {
		return controller.Readings{}, err
	}
	return queryReader{s.prometheus, k.queries}.ReadQuery(ctx, name, namespace, deployment)
}
