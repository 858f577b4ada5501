package controller

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

const (
	// checkpointPause is the least time between the beginnings of two passes.
	checkpointPause = 5 * time.Second
	// readPatience is how long a new leader tries to read: others wait for its first decision.
	readPatience = 2 * time.Second
	// readPause is between two attempts.
	readPause = 200 * time.Millisecond
)

// checkpoints writes down what is remembered, beside the loop, so that the next leader goes on from there. One goroutine at a
// time uses it.
type checkpoints struct {
	store shardStore
	log   logr.Logger
	poked chan struct{}
	// failing says that the last pass failed.
	failing bool
	shards  [shardCount]shard
}

// shard is one of them as it was written last.
type shard struct {
	// version is the resourceVersion, empty if there is none or it is not known.
	version string
	targets []kept
	// dirty says that something is to be written.
	dirty bool
	// leftOut is how many targets did not fit in.
	leftOut int
}

func newCheckpoints(o *Options, gate gate) *checkpoints {
	e := o.LeaderElection
	return &checkpoints{
		store: shardStore{o.Client.CoreV1().ConfigMaps(e.Namespace), e.Name, gate},
		log:   o.Logger,
		poked: make(chan struct{}, 1),
	}
}

// poke tells that there was a tick. It never blocks.
func (k *checkpoints) poke() {
	if k == nil {
		return
	}
	select {
	case k.poked <- struct{}{}:
	default:
	}
}

// run writes what changed, after ticks and with pauses, until the context ends.
func (k *checkpoints) run(ctx context.Context, now func() Memory) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.poked:
		}
		began := time.Now()
		k.pass(ctx, now())
		if !sleep(ctx, checkpointPause-time.Since(began)) {
			return
		}
	}
}

// pass writes the shards in which something changed.
func (k *checkpoints) pass(ctx context.Context, m Memory) {
	var lists [shardCount][]kept
	for i := range m.Targets {
		r := &m.Targets[i]
		n := shardOf(r.UID)
		lists[n] = append(lists[n], kept{r, m.Time})
	}
	var problems []error
	for n := range k.shards {
		k.shards[n].take(lists[n])
		if k.shards[n].dirty && ctx.Err() == nil {
			problems = append(problems, k.write(ctx, n, m.Time))
		}
	}
	if ctx.Err() == nil {
		k.tell(errors.Join(problems...))
	}
}

// take takes over what is remembered now. It is to be written if a value changed, or a target has come or gone; that time
// passes is not.
func (s *shard) take(targets []kept) {
	before := make(map[types.UID]*kept, len(s.targets))
	for i := range s.targets {
		before[s.targets[i].UID] = &s.targets[i]
	}
	if len(targets) != len(before) {
		s.dirty = true
	}
	var scratch policy.State
	for i := range targets {
		now := &targets[i]
		if old := before[now.UID]; old != nil && sameAnnotations(old.Annotations, now.Annotations) && sameState(old.State, now.State, &scratch) {
			now.changed = old.changed
		} else {
			s.dirty = true
		}
	}
	s.targets = targets
}

// sameState reports whether one State followed the other without a new value: the newest run has become longer, and what is too
// old has been dropped. What scratch holds is lost.
func sameState(old, now, scratch *policy.State) bool {
	if !ends(old.Past, now.Past) || !ends(old.Events, now.Events) {
		return false
	}
	samePod := func(a, b policy.PodTime) bool { return a.Pod == b.Pod }
	if !slices.EqualFunc(old.Served, now.Served, samePod) {
		return false
	}
	*scratch = *now
	scratch.Past, scratch.Events, scratch.Newest.Time = old.Past, old.Events, old.Newest.Time
	scratch.Seen, scratch.Whole, scratch.Served = old.Seen, old.Whole, old.Served
	return reflect.DeepEqual(old, scratch)
}

// ends reports whether a list is the end of another.
func ends[T comparable](of, list []T) bool {
	if len(list) > len(of) {
		return false
	}
	of = of[len(of)-len(list):]
	for i := range list {
		if list[i] != of[i] {
			return false
		}
	}
	return true
}

// write writes one shard.
func (k *checkpoints) write(ctx context.Context, n int, at time.Time) error {
	s := &k.shards[n]
	body, leftOut, why := encodeShard(at, s.targets)
	version, err := k.store.put(ctx, n, s.version, body)
	s.version = version
	if err != nil {
		return err
	}
	s.dirty = false
	if leftOut > 0 && s.leftOut == 0 {
		k.log.Error(why, "Targets are left out of the checkpoint: after a change of leader nothing of them is lowered for a full window",
			"configMap", k.store.name(n), "leftOut", leftOut, "of", len(s.targets))
	}
	s.leftOut = leftOut
	return nil
}

// tell logs that writing begins or ceases to fail.
func (k *checkpoints) tell(err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Error(err, "Writing the checkpoint fails: after a change of leader what changed since is not known")
	case err == nil && k.failing:
		k.log.Info("Writing the checkpoint works again")
	}
	k.failing = err != nil
}

// read reads all shards, as far as that works in a short time. What cannot be read or used is left out and will be written anew.
func (k *checkpoints) read(ctx context.Context) []Memory {
	patient, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	memories, problems := make([]Memory, shardCount), make([]error, shardCount)
	var reads sync.WaitGroup
	for n := range k.shards {
		reads.Go(func() {
			s := &k.shards[n]
			memories[n], s.version, problems[n] = k.readShard(patient, n)
			s.dirty = problems[n] != nil
			for i := range memories[n].Targets {
				s.targets = append(s.targets, kept{&memories[n].Targets[i], memories[n].Time})
			}
		})
	}
	reads.Wait()
	if err := errors.Join(problems...); err != nil && ctx.Err() == nil {
		k.log.Error(err, "A part of the checkpoint is ignored: nothing of its targets is lowered for a full window")
	}
	return memories
}

// readShard reads one shard and tries again what may pass, until the context ends.
func (k *checkpoints) readShard(ctx context.Context, n int) (Memory, string, error) {
	for {
		m, version, err := k.store.get(ctx, n)
		if err == nil || version != "" || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || !sleep(ctx, readPause) {
			return m, version, err
		}
	}
}
