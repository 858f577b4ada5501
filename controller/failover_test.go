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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
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
		c.deploy("a", to.to, minute())
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

// end waits until it has ended, and wants it to end with that error.
func (c *candidate) end(want error) {
	c.t.Helper()
	if err := <-c.ended; !errors.Is(err, want) {
		c.t.Errorf("ended with %v, want %v", err, want)
	}
}

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
				second.end(nil)
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
		time.Sleep(121*time.Second + 300*time.Millisecond) // between two renewals
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
		second.end(nil)
		first.end(ErrLeaseLost)
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
		first.end(nil)
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
		second.end(nil)
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
				first.end(nil)

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
				second.end(nil)
			})
		})
	}
}
