package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gpuscaler/gpuscaler/policy"
)

// want compares the changes that were sent.
func (b *bed) want(changes ...string) {
	b.t.Helper()
	if got := b.scaler.made(); !slices.Equal(got, changes) {
		b.t.Fatalf("changes %q, want %q", got, changes)
	}
}

func TestTickReadsOnceDecidesAndWrites(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.deploy("b", 1, asks(policy.RunningRequests))
	s := b.tick(0)
	if got := b.scaler.made(); len(got) != 2 || !slices.Contains(got, "a 2->4") || !slices.Contains(got, "b 1->2") {
		t.Errorf("changes %q, want a 2->4 and b 1->2", got)
	}
	if calls := b.reader.calls[policy.RunningRequests]; len(calls) != 1 || !slices.Equal(calls[0], []string{"ns"}) {
		t.Errorf("queries %v, want one for the namespace ns", calls)
	}
	w := s.Find("ns", "a")
	if w == nil || w.Decision.Desired != 4 || w.Ready != 2 || w.Decision.Signals[0].Source != "test_metric" {
		t.Errorf("workload %+v, want 4 desired and 2 ready", w)
	}
}

func TestTickWaitsUntilItsOwnWriteIsSeen(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.scaler.answer = func(_ context.Context, c change) (written, error) {
		return written{replicas: c.to, version: "1000"}, nil
	}
	b.deploy("a", 2, asks(policy.RunningRequests))
	b.tick(0)
	b.tick(3)
	b.version = 998
	b.deploy("a", 2, asks(policy.RunningRequests)) // version 999: an older change arrives
	s := b.tick(6)
	if note := s.Find("ns", "a").Note; !strings.Contains(note, "not in the cache") {
		t.Errorf("note %q, want that the write is not in the cache", note)
	}
	b.want("a 2->4")
	b.deploy("a", 4, asks(policy.RunningRequests))
	b.tick(9)
	b.want("a 2->4", "a 4->8")
}

func TestWrittenCountsAgainstTheBudget(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 500)
	b.deploy("a", 2, asks(policy.RunningRequests, "scale-up.policies", "1 pods/60s"))
	b.tick(0)
	b.deploy("a", 3, asks(policy.RunningRequests, "scale-up.policies", "1 pods/60s"))
	s := b.tick(1)
	b.want("a 2->3")
	if got := s.Find("ns", "a").Decision.Reason; got != policy.ScaleUpLimit {
		t.Errorf("reason %s, want ScaleUpLimit", got)
	}
}

func TestHangingWriteHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.reader.set(policy.RunningRequests, 100)
		b.scaler.answer = func(ctx context.Context, c change) (written, error) {
			if c.name == "slow" {
				<-ctx.Done()
				return written{}, ctx.Err()
			}
			return written{replicas: c.to}, nil
		}
		b.deploy("fast", 1, asks(policy.RunningRequests))
		b.deploy("slow", 1, asks(policy.RunningRequests))
		began := time.Now()
		b.Tick(t.Context(), noon)
		synctest.Wait()
		b.deploy("fast", 2, asks(policy.RunningRequests))
		s := b.Tick(t.Context(), noon.Add(15*time.Second))
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("two ticks took %v beside a hanging write, want no time", took)
		}
		if got := b.scaler.made(); len(got) != 3 || got[2] != "fast 2->4" {
			t.Errorf("changes %q, want fast to go on and slow to be sent once", got)
		}
		if note := s.Find("ns", "slow").Note; note != "a write is under way" {
			t.Errorf("note of slow: %q, want that a write is under way", note)
		}
		time.Sleep(writeTimeout)
		synctest.Wait()
		if got := testutil.ToFloat64(b.metrics.writes.WithLabelValues("unknown")); got != 1 {
			t.Errorf("%v writes of unknown outcome, want 1", got)
		}
	})
}

func TestPanicOverOneTargetLeavesTheOthersAlone(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	panics := 0
	b.reader.pod = func(_, name string) {
		if strings.HasPrefix(name, "bad-") {
			panics++
			panic("poisoned")
		}
	}
	b.deploy("bad", 1, asks(policy.RunningRequests))
	b.deploy("good", 1, asks(policy.RunningRequests))
	s := b.tick(0)
	b.want("good 1->2")
	if note := s.Find("ns", "bad").Note; !strings.Contains(note, "poisoned") {
		t.Errorf("note %q, want the panic", note)
	}
	if w := s.Find("ns", "bad"); w.Decision.Desired != 1 {
		t.Errorf("desired %d of the bad one, want its current 1", w.Decision.Desired)
	}
	b.tick(1)
	if panics != 1 || testutil.ToFloat64(b.metrics.panics) != 1 {
		t.Errorf("%d panics, want the target left alone after one", panics)
	}
	b.tick(120) // ten minutes later
	if panics != 2 {
		t.Errorf("%d panics, want another attempt after the quarantine", panics)
	}
	b.deploy("bad", 1, asks(policy.RunningRequests, "scale-up.tolerance", "0.2"))
	b.tick(121)
	if panics != 3 {
		t.Errorf("%d panics, want another attempt after the annotations changed", panics)
	}
}

func TestPanicInTheReaderIsMissingData(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.GPUUtilization, 100)
	b.reader.read = func(s policy.Signal) {
		if s == policy.RunningRequests {
			panic("broken reader")
		}
	}
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.deploy("b", 1, asks(policy.GPUUtilization))
	s := b.tick(0)
	b.want("b 1->2")
	if w := s.Find("ns", "a"); w.Decision.Reason != policy.NoData || !strings.Contains(w.Decision.Signals[0].Detail, "broken reader") {
		t.Errorf("decision %+v, want NoData because of the panic", w.Decision)
	}
}

func TestSlowQueryHoldsUpOnlyThoseThatNeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.reader.set(policy.GPUUtilization, 100)
		b.reader.hang = map[policy.Signal]bool{policy.RunningRequests: true}
		var wroteAfter time.Duration
		began := time.Now()
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			wroteAfter = time.Since(began)
			return written{replicas: c.to}, nil
		}
		b.deploy("fast", 1, asks(policy.GPUUtilization))
		b.deploy("slow", 1, asks(policy.RunningRequests))
		s := b.Tick(t.Context(), noon)
		synctest.Wait()
		b.want("fast 1->2")
		if wroteAfter != 0 {
			t.Errorf("the write came %v after the tick began, want at once", wroteAfter)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("the tick took %v, want the query given up after 4s of 5s", took)
		}
		w := s.Find("ns", "slow")
		if w.Decision.Reason != policy.NoData || !strings.Contains(w.Decision.Message(), "no reply within 4s") {
			t.Errorf("slow: %s %q, want NoData since no reply came", w.Decision.Reason, w.Decision.Message())
		}
	})
}

func TestReaderThatIgnoresItsDeadlineIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		release := make(chan struct{})
		b.options.Signals = readerFunc(func(context.Context, policy.Signal, []string) (Readings, error) {
			<-release
			return Readings{}, errors.New("too late")
		})
		b.deploy("a", 1, asks(policy.RunningRequests))
		s := b.Tick(t.Context(), noon)
		if got := s.Find("ns", "a").Decision.Reason; got != policy.NoData {
			t.Errorf("reason %s, want NoData", got)
		}
		close(release)
		synctest.Wait()
	})
}

// readerFunc is a SignalReader.
type readerFunc func(context.Context, policy.Signal, []string) (Readings, error)

func (f readerFunc) Read(ctx context.Context, s policy.Signal, namespaces []string) (Readings, error) {
	return f(ctx, s, namespaces)
}

func TestCancelledTickDecidesNothing(t *testing.T) {
	b := newBed(t)
	b.reader.hang = map[policy.Signal]bool{policy.RunningRequests: true}
	b.deploy("a", 1, asks(policy.RunningRequests))
	ctx, cancel := context.WithCancel(t.Context())
	b.reader.read = func(policy.Signal) { cancel() }
	before := b.Snapshot()
	if after := b.Tick(ctx, noon); after != before {
		t.Error("a cancelled tick made a new snapshot")
	}
	if b.targets["uid-a"].state.BadSince != (time.Time{}) {
		t.Error("a cancelled tick was remembered as missing data")
	}
}

func TestRecreatedDeploymentStartsAnew(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 4, asks(policy.RunningRequests))
	b.tick(0)
	b.reader.set(policy.RunningRequests, 1)
	b.show("a", "another-uid", 4, asks(policy.RunningRequests))
	b.run("b", "another-uid", 4, policy.Ready)
	b.tick(1)
	if _, known := b.targets["uid-a"]; known || len(b.targets) != 1 {
		t.Errorf("%d targets, want only the new one", len(b.targets))
	}
	if state := b.targets["another-uid"].state; !state.Newest.Time.Equal(noon.Add(5 * time.Second)) {
		t.Errorf("state %+v, want one seeded in this tick", state)
	}
}

func TestTargetThatIsGoneGoesEverywhere(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.tick(0)
	if n, err := testutil.GatherAndCount(b.registry, "gpuscaler_current_replicas"); n != 1 || err != nil {
		t.Fatalf("%d series, %v, want 1", n, err)
	}
	_ = b.watches.deployments[0].Delete(&deployment{meta: meta{namespace: "ns", name: "a"}})
	if s := b.tick(1); len(s.Workloads) != 0 || len(b.targets) != 0 {
		t.Errorf("%d workloads, %d targets, want none", len(s.Workloads), len(b.targets))
	}
	if n, err := testutil.GatherAndCount(b.registry, "gpuscaler_current_replicas", "gpuscaler_gpu_seconds_total"); n != 0 || err != nil {
		t.Errorf("%d series, %v, want none", n, err)
	}
}

func TestPausedUpIsNotWritten(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 1, asks(policy.RunningRequests, "paused", "up"))
	b.tick(0)
	b.want()
}

func TestPodsThatAreNotListedMeanNoDecision(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.members.pods.synced.Store(false)
	s := b.tick(0)
	b.want()
	if note := s.Find("ns", "a").Note; !strings.Contains(note, "not been listed") {
		t.Errorf("note %q, want that pods have not been listed", note)
	}
}

func TestGPUTimeAndStartups(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 2, asks(policy.RunningRequests))
	set := b.members.pods.all(nil)[0].replicaSet
	add := func(p *pod) {
		p.namespace, p.replicaSet, p.gpus = "ns", set, 4
		if err := b.members.pods.Update(p); err != nil {
			t.Fatal(err)
		}
	}
	long := noon.Add(-8 * time.Minute).Unix()
	add(&pod{meta: meta{name: "late"}, phase: policy.Loading, scheduled: long})
	add(&pod{meta: meta{name: "loading"}, phase: policy.Loading, scheduled: noon.Unix()})
	add(&pod{meta: meta{name: "waiting"}, phase: policy.Unschedulable})
	b.tick(0)
	ready := pod{meta: meta{name: "loading"}, phase: policy.Ready, scheduled: noon.Unix(), since: noon.Unix() + 42, served: true}
	for _, phase := range []policy.Phase{policy.Ready, policy.Loading, policy.Ready} { // a pod starts once, however often it becomes Ready
		p := ready
		p.phase, p.served = phase, phase == policy.Ready
		add(&p)
	}
	s := b.tick(2)
	want := GPUSeconds{Serving: 2*10 + 4*10, Overdue: 4 * 10}
	if got := s.Find("ns", "a").GPUSeconds; got != want {
		t.Errorf("GPU seconds %+v, want %+v", got, want)
	}
	if got, err := testutil.GatherAndCount(b.registry, "gpuscaler_startup_seconds"); err != nil || got != 1 {
		t.Fatal(got, err)
	}
	expected := "# HELP gpuscaler_startup_seconds Time that a pod took from its node to Ready.\n# TYPE gpuscaler_startup_seconds summary\n" +
		"gpuscaler_startup_seconds{quantile=\"0.5\"} 42\ngpuscaler_startup_seconds{quantile=\"0.9\"} 42\ngpuscaler_startup_seconds{quantile=\"0.99\"} 42\n" +
		"gpuscaler_startup_seconds_sum 42\ngpuscaler_startup_seconds_count 1\n"
	if err := testutil.GatherAndCompare(b.registry, strings.NewReader(expected), "gpuscaler_startup_seconds"); err != nil {
		t.Error(err)
	}
}
