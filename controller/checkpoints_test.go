package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Nothing is written while nothing changes, and at most once each 5 s however much does.
func TestCheckpointsAreWrittenWhenValuesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := candidateFor(t, nil, "me_1_", func(o *Options) { o.Settings.Interval = time.Second })
		c.deploy("a", 4, minute("paused", "down"))
		ctx, stop := context.WithCancel(t.Context())
		c.run(ctx)
		time.Sleep(10 * time.Minute)
		if n := c.shardWrites(); n != 1 {
			t.Errorf("%d writes at rest, want the first", n)
		}
		c.ClearActions()
		for i := range 60 { // recommendations of 4, 3, 4, 3
			c.reader.set(policy.RunningRequests, []float64{50, 30}[i%2])
			time.Sleep(time.Second)
		}
		if n := c.shardWrites(); n < 10 || n > 12 {
			t.Errorf("%d writes in a minute of changes, want one each 5 s", n)
		}
		time.Sleep(10 * time.Second) // what changed last has been written by now
		c.ClearActions()
		time.Sleep(10 * time.Minute)
		if n := c.shardWrites(); n != 0 {
			t.Errorf("%d writes while what was remembered grew old, want none", n)
		}
		stop()
		c.end(nil)
		if n := c.shardWrites(); n != 0 {
			t.Errorf("%d writes at the end without a change, want none", n)
		}
	})
}

// The last write of a leader that ends is in its checkpoint, which is written while the lease is still its own.
func TestLastCheckpointHasTheLastWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := candidateFor(t, nil, "me_1_")
		c.reader.set(policy.RunningRequests, 100)
		c.scaler.answer = func(_ context.Context, to change) (written, error) {
			time.Sleep(4 * time.Second)
			return written{replicas: to.to}, nil
		}
		var holder string
		c.PrependReactor("update", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
			holder = c.holder(t)
			return false, nil, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		c.run(ctx)
		time.Sleep(time.Second)
		stop()
		c.end(nil)
		if holder != "me_1_" {
			t.Errorf("the last checkpoint was written while the lease was held by %q, want us", holder)
		}
		m, _, err := c.checkpoints.store.get(t.Context(), shardOf("uid-a"))
		if err != nil || len(m.Targets) != 1 || len(m.Targets[0].State.Events) != 1 || m.Targets[0].State.Events[0].Change != 4 {
			t.Errorf("the checkpoint is %+v, %v; want the raise by 4 in it", m, err)
		}
	})
}

// Who lost the lease writes no checkpoint, and who finds another version than it knows looks once and writes again.
func TestShardsAreWrittenBehindTheGate(t *testing.T) {
	another := apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "x", errors.New("changed"))
	for name, tt := range map[string]struct {
		gate      func() (time.Time, error)
		conflicts int
		verbs     string
		fails     bool
	}{
		"leads":            {open, 0, "update", false},
		"a lost race":      {open, 1, "update get update", false},
		"two lost races":   {open, 2, "update get update", true},
		"leads no more":    {func() (time.Time, error) { return time.Time{}, errNotLeader }, 0, "", true},
		"until the moment": {func() (time.Time, error) { return time.Now(), nil }, 0, "update", false},
	} {
		client := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "gpuscaler-checkpoint-0", ResourceVersion: "7"}})
		conflicts := tt.conflicts
		client.PrependReactor("update", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
			conflicts--
			return conflicts >= 0, nil, another
		})
		store := shardStore{client.CoreV1().ConfigMaps("system"), "gpuscaler", tt.gate}
		_, err := store.put(t.Context(), 0, "1", []byte("x"))
		var verbs []string
		for _, a := range client.Actions() {
			verbs = append(verbs, a.GetVerb())
		}
		if got := strings.Join(verbs, " "); got != tt.verbs || (err != nil) != tt.fails {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.verbs)
		}
	}
}

// A checkpoint that cannot be read is tried again for a short time, and then done without.
func TestCheckpointThatCannotBeRead(t *testing.T) {
	for name, tt := range map[string]struct {
		failure error
		last    time.Duration
		known   bool
		took    time.Duration
	}{
		"passes":    {errors.New("connection refused"), time.Second, true, time.Second},
		"stays":     {errors.New("connection refused"), time.Hour, false, readPatience},
		"forbidden": {apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", errors.New("no right")), time.Hour, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := candidateFor(t, nil, "me_1_")
				body, _, _ := encodeShard(noon, []kept{{Remembered: &Remembered{Namespace: "ns", Name: "a", UID: "uid-a", State: &policy.State{}}}})
				if _, err := (&shardStore{c.CoreV1().ConfigMaps("system"), "gpuscaler", open}).put(t.Context(), shardOf("uid-a"), "", body); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				c.PrependReactor("get", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
					return time.Since(began) < tt.last, nil, tt.failure
				})
				c.takeUp(t.Context())
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if c.said(`"unknown"=0`) != tt.known || c.said("is ignored") == tt.known {
					t.Errorf("the log is\n%s", strings.Join(c.log, "\n"))
				}
			})
		})
	}
}
