package controller

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// candidate is a bed that takes part in an election, with a connection of its own to the API server.
type candidate struct {
	*bed
	*leases
	mu  sync.Mutex
	log []string
	// scaled is when each change was written, led when the first tick was.
	scaled []time.Duration
	led    time.Duration
	ended  chan error
}

// candidateFor makes one on the API server of the first, or with nil the first. All see the Deployment a with four replicas and a
// scale-down window of a minute, and read the same.
func candidateFor(t *testing.T, first *candidate, identity string, adjust ...func(*Options)) *candidate {
	t.Helper()
	c := &candidate{leases: newLeases()}
	if first != nil {
		c.leases = &leases{Clientset: &fake.Clientset{}}
		c.AddReactor("*", "*", k8stesting.ObjectReaction(first.Tracker()))
	}
	c.PrependReactor("*", "configmaps", versioned)
	c.PrependReactor("*", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		c.leases.mu.Lock()
		defer c.leases.mu.Unlock()
		return c.cut, nil, errors.New("connection refused")
	})
	c.bed = newBed(t, append([]func(*Options){func(o *Options) {
		o.Client = c.leases
		o.LeaderElection = &LeaderElection{Client: c.leases, Namespace: "system", Name: LeaseName(""), Identity: identity}
		o.Logger = funcr.New(func(_, text string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.log = append(c.log, text)
		}, funcr.Options{})
	}}, adjust...)...)
	c.scaler.answer = func(_ context.Context, to change) (written, error) {
		c.bed.deploy("a", to.to, minute())
		c.mu.Lock()
		defer c.mu.Unlock()
		c.scaled = append(c.scaled, time.Since(noon).Round(time.Second))
		return written{replicas: to.to}, nil
	}
	c.reader.read = func(policy.Signal) {
		if c.led == 0 {
			c.led = time.Since(noon)
		}
	}
	c.reader.set(policy.RunningRequests, 50)
	c.deploy("a", 4, minute())
	return c
}

// versioned gives what is written a resourceVersion, as an API server does.
func versioned(a k8stesting.Action) (bool, runtime.Object, error) {
	if write, ok := a.(k8stesting.CreateAction); ok { // also an update
		object := write.GetObject().(*corev1.ConfigMap)
		before, _ := strconv.Atoi(object.ResourceVersion)
		object.ResourceVersion = strconv.Itoa(before + 1)
	}
	return false, nil, nil
}

// minute are annotations with a scale-down window of a minute.
func minute(more ...string) map[string]string {
	return asks(policy.RunningRequests, append([]string{"scale-down.stabilization", "60s"}, more...)...)
}

// run lets it lead or stand by.
func (c *candidate) run(ctx context.Context) { c.ended = c.start(ctx) }

// said reports whether the log has a text.
func (c *candidate) said(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.log, func(line string) bool { return strings.Contains(line, text) })
}

// shards returns how often ConfigMaps were written.
func (c *candidate) shardWrites() (n int) {
	for _, a := range c.Actions() {
		if a.GetResource().Resource == "configmaps" && a.GetVerb() != "get" {
			n++
		}
	}
	return n
}

// A leader that falls silent 20 s into the window of a minute: the next one takes over and lowers when the first would have, unless
// it finds nothing that it can use.
func TestNextLeaderContinues(t *testing.T) {
	replace := func(c *candidate, change func(*corev1.ConfigMap)) {
		for n := range shardCount {
			client := c.CoreV1().ConfigMaps("system")
			if stored, err := client.Get(context.Background(), c.checkpoints.store.name(n), metav1.GetOptions{}); err == nil {
				change(stored)
				_, _ = client.Update(context.Background(), stored, metav1.UpdateOptions{})
			}
		}
	}
	for name, tt := range map[string]struct {
		between func(*candidate)
		fresh   bool
		says    string
	}{
		"continued": {func(*candidate) {}, false, `"Going on from the checkpoint" "targets"=1 "unknown"=0`},
		"broken": {func(c *candidate) {
			replace(c, func(m *corev1.ConfigMap) { m.BinaryData[shardKey] = []byte("{}") })
		}, true, "A part of the checkpoint is ignored"},
		"newer": {func(c *candidate) {
			replace(c, func(m *corev1.ConfigMap) { m.BinaryData[shardKey] = zipped(`{"version":2}`) })
		}, true, "version 2 is not known here"},
		"foreign": {func(c *candidate) {
			replace(c, func(m *corev1.ConfigMap) { m.BinaryData = nil })
		}, true, "has no checkpoint.json.gz"},
		"another Deployment": {func(c *candidate) {
			_ = c.watches.deployments[0].Delete(c.watches.deployments[0].get(key{"ns", "a"}))
			c.show("a", "uid-again", 4, minute())
			c.bed.run("a", "uid-again", 4, policy.Ready)
		}, true, `"targets"=1 "unknown"=1`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := candidateFor(t, nil, "first_1_")
				second := candidateFor(t, first, "second_2_")
				ctx, stop := context.WithCancel(t.Context())
				first.run(ctx)
				time.Sleep(101 * time.Second)
				first.reader.set(policy.RunningRequests, 5)
				second.reader.set(policy.RunningRequests, 5)
				time.Sleep(20 * time.Second) // the last tick that asked for 4 was at 100 s
				first.unplug()
				tt.between(second)
				second.run(ctx)
				time.Sleep(2 * time.Minute)
				want := 160 * time.Second
				if tt.fresh {
					want = second.led.Truncate(5*time.Second) + time.Minute
				}
				if !slices.Equal(second.scaled, []time.Duration{want}) {
					t.Errorf("lowered at %v, want at %v", second.scaled, want)
				}
				if !second.said(tt.says) {
					t.Errorf("the log lacks %q:\n%s", tt.says, strings.Join(second.log, "\n"))
				}
				if err := <-first.ended; !errors.Is(err, ErrLeaseLost) || len(first.scaled) > 0 {
					t.Errorf("the first ended with %v and scaled at %v", err, first.scaled)
				}
				stop()
				<-second.ended
			})
		})
	}
}

// What was asked for when the leader fell silent is taken to have been asked for until it renewed the lease last, though it has not
// been written down again and again.
func TestLastValueLastedUntilTheRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := candidateFor(t, nil, "first_1_")
		second := candidateFor(t, first, "second_2_")
		ctx, stop := context.WithCancel(t.Context())
		first.run(ctx)
		time.Sleep(121 * time.Second)
		renewed := first.lease.renewed.Load().Sub(noon)
		first.unplug()
		second.reader.set(policy.RunningRequests, 5)
		second.run(ctx)
		time.Sleep(2 * time.Minute)
		want := (renewed + time.Minute + 5*time.Second - 1).Truncate(5 * time.Second)
		if renewed < 118*time.Second || !slices.Equal(second.scaled, []time.Duration{want}) {
			t.Errorf("lowered at %v, want at %v: a minute after %v", second.scaled, want, renewed)
		}
		stop()
		<-second.ended
		<-first.ended
	})
	if s := continued(policy.State{}, noon); !reflect.DeepEqual(s, policy.State{}) {
		t.Errorf("of nothing became %+v, want nothing: it is to be seeded with the replicas", s)
	}
}

// Between two leaders nobody watched: if that was for longer than a sample may be old, it is a gap, and the window begins anew.
func TestLongSilenceIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := candidateFor(t, nil, "first_1_")
		ctx, stop := context.WithCancel(t.Context())
		first.run(ctx)
		time.Sleep(100 * time.Second)
		stop()
		<-first.ended
		time.Sleep(10 * time.Minute)
		second := candidateFor(t, first, "second_2_")
		second.reader.set(policy.RunningRequests, 5)
		ctx, stop = context.WithCancel(t.Context())
		second.run(ctx)
		time.Sleep(3 * time.Minute)
		// A gap holds for at least the age that a sample may have.
		if want := 700*time.Second + 90*time.Second; !slices.Equal(second.scaled, []time.Duration{want}) {
			t.Errorf("lowered at %v, want at %v", second.scaled, want)
		}
		stop()
		<-second.ended
	})
}

// The next leader meets annotations that have become invalid: the last good ones, which only the checkpoint has, stay for raising.
func TestLastGoodAnnotationsSurvive(t *testing.T) {
	for name, tt := range map[string]struct {
		value   float64
		desired int
	}{"raises": {100, 8}, "does not lower": {5, 4}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := candidateFor(t, nil, "first_1_")
				ctx, stop := context.WithCancel(t.Context())
				first.run(ctx)
				time.Sleep(30 * time.Second)
				first.deploy("a", 4, minute("startup", "soon"))
				time.Sleep(30 * time.Second)
				stop()
				<-first.ended

				second := candidateFor(t, first, "second_2_")
				second.deploy("a", 4, minute("startup", "soon"))
				second.reader.set(policy.RunningRequests, tt.value)
				ctx, stop = context.WithCancel(t.Context())
				second.run(ctx)
				time.Sleep(4 * time.Second)
				w := second.Snapshot().Find("ns", "a")
				if w == nil || w.Decision.Desired != tt.desired || len(w.Problems) == 0 {
					t.Errorf("%+v, want %d", w, tt.desired)
				}
				stop()
				<-second.ended
			})
		})
	}
}

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
		if n := c.shardWrites(); n < 11 || n > 12 {
			t.Errorf("%d writes in a minute of changes, want one each 5 s", n)
		}
		time.Sleep(10 * time.Second) // what changed last has been written by now
		c.ClearActions()
		time.Sleep(10 * time.Minute)
		if n := c.shardWrites(); n != 0 {
			t.Errorf("%d writes while what was remembered grew old, want none", n)
		}
		stop()
		<-c.ended
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
		<-c.ended
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
				body, _, _ := encodeShard(noon, []kept{{Remembered: Remembered{Namespace: "ns", Name: "a", UID: "uid-a"}}})
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
