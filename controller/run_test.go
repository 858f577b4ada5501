package controller

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/gpuscaler/gpuscaler/policy"
)

func TestLoopTicksOnTheGridAndCountsMissedTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1700 * time.Millisecond) // off the grid
		b := newBed(t)
		var at []time.Duration
		slow := map[int]bool{3: true}
		b.reader.read = func(policy.Signal) {
			at = append(at, time.Since(noon))
			if slow[len(at)] {
				time.Sleep(13 * time.Second) // ends at 25s: the ticks of 15s and 20s are missed
			}
		}
		b.options.QueryTimeout = time.Minute
		b.deploy("a", 1, asks(policy.RunningRequests))
		ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
		defer cancel()
		b.loop(ctx)
		want := []time.Duration{1700 * time.Millisecond, 5 * time.Second, 10 * time.Second, 23 * time.Second, 25 * time.Second, 30 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("ticks at %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("ticks at %v, want %v", at, want)
				break
			}
		}
		if got := testutil.ToFloat64(b.metrics.missed); got != 1 {
			t.Errorf("%v ticks missed, want the one of 15s", got)
		}
		if got := b.Snapshot().Time; !got.Equal(noon.Add(30 * time.Second)) {
			t.Errorf("last tick as of %v, want a multiple of the interval", got)
		}
	})
}

func TestAlignKeepsTheMonotonicClock(t *testing.T) {
	now := time.Now()
	at := align(now, 5*time.Second)
	if !at.Equal(now.Truncate(5 * time.Second)) {
		t.Errorf("%v aligned is %v, want %v", now, at, now.Truncate(5*time.Second))
	}
	if !strings.Contains(at.String(), "m=") {
		t.Errorf("%v has lost its monotonic reading", at)
	}
}

// leases is a fake API server with only Leases, which can be cut off.
type leases struct {
	*fake.Clientset
	mu  sync.Mutex
	cut bool
}

func newLeases() *leases {
	l := &leases{Clientset: fake.NewClientset()}
	l.PrependReactor("*", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.cut {
			return true, nil, errors.New("connection refused")
		}
		return false, nil, nil
	})
	return l
}

// unplug cuts it off.
func (l *leases) unplug() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
}

// hold makes another process the holder.
func (l *leases) hold(t *testing.T, identity string) {
	t.Helper()
	seconds, now := int32(15), metav1.NowMicro()
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "gpuscaler", Namespace: "system"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &identity, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
	if err := l.Tracker().Add(lease); err != nil {
		t.Fatal(err)
	}
}

// holder returns who holds the lease.
func (l *leases) holder(t *testing.T) string {
	t.Helper()
	lease, err := l.Tracker().Get(coordinationv1.SchemeGroupVersion.WithResource("leases"), "system", "gpuscaler")
	if err != nil {
		return ""
	}
	if id := lease.(*coordinationv1.Lease).Spec.HolderIdentity; id != nil {
		return *id
	}
	return ""
}

// electing makes a bed that takes part in an election.
func electing(t *testing.T, l *leases, identity string) *bed {
	return newBed(t, func(o *Options) {
		o.LeaderElection = &LeaderElection{Client: l, Namespace: "system", Name: LeaseName(""), Identity: identity}
	})
}

// start runs the election and the loop of a bed, whose caches need no server.
func (b *bed) start(ctx context.Context) chan error {
	ended := make(chan error, 1)
	go func() { ended <- b.lead(ctx) }()
	return ended
}

func TestOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases()
		first, second := electing(t, l, "first_1_"), electing(t, l, "second_2_")
		for _, b := range []*bed{first, second} {
			b.reader.set(policy.RunningRequests, 50)
			b.deploy("a", 1, asks(policy.RunningRequests))
		}
		ctx, stopFirst := context.WithCancel(t.Context())
		endedFirst := first.start(ctx)
		time.Sleep(time.Second)
		ctx, stopSecond := context.WithCancel(t.Context())
		endedSecond := second.start(ctx)
		time.Sleep(time.Minute)
		if !first.Leading() || second.Leading() {
			t.Errorf("first leads: %v, second: %v; want only the first", first.Leading(), second.Leading())
		}
		if second.reader.calls != nil {
			t.Error("a standby read signals")
		}
		stopFirst()
		if err := <-endedFirst; err != nil {
			t.Errorf("ending the first: %v", err)
		}
		if holder := l.holder(t); holder != "" {
			t.Errorf("the lease is held by %q after a release, want nobody", holder)
		}
		time.Sleep(5 * time.Second)
		if first.Leading() || !second.Leading() {
			t.Errorf("first leads: %v, second: %v; want the second to take over within 5s", first.Leading(), second.Leading())
		}
		stopSecond()
		if err := <-endedSecond; err != nil {
			t.Errorf("ending the second: %v", err)
		}
	})
}

func TestReleaseWaitsForTheLastWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases()
		b := electing(t, l, "me_1_")
		b.reader.set(policy.RunningRequests, 100)
		var holderDuringWrite string
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			time.Sleep(4 * time.Second)
			holderDuringWrite = l.holder(t)
			return written{replicas: c.to}, nil
		}
		b.deploy("a", 1, asks(policy.RunningRequests))
		ctx, stop := context.WithCancel(t.Context())
		ended := b.start(ctx)
		time.Sleep(time.Second)
		stop()
		began := time.Now()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("ending took %v, want the 3s that the write still needed", took)
		}
		if holderDuringWrite != "me_1_" {
			t.Errorf("during the write the lease was held by %q, want us", holderDuringWrite)
		}
		if holder := l.holder(t); holder != "" {
			t.Errorf("the lease is held by %q in the end, want nobody", holder)
		}
		b.want("a 1->2")
	})
}

func TestLeaseIsNotGivenUpDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases()
		b := electing(t, l, "me_1_")
		if err := b.lease.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me_1_"}); err != nil {
			t.Fatal(err)
		}
		b.reader.set(policy.RunningRequests, 100)
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			time.Sleep(4 * time.Second)
			return written{replicas: c.to}, nil
		}
		b.deploy("a", 1, asks(policy.RunningRequests))
		b.Tick(t.Context(), noon)
		synctest.Wait()
		began := time.Now()
		released := make(chan error)
		go func() { released <- b.lease.Update(t.Context(), resourcelock.LeaderElectionRecord{}) }()
		synctest.Wait()
		if b.Leading() || l.holder(t) != "me_1_" {
			t.Errorf("during the write: gate open %v, lease held by %q; want it shut and the lease still ours", b.Leading(), l.holder(t))
		}
		if err := <-released; err != nil || time.Since(began) != 4*time.Second || l.holder(t) != "" {
			t.Errorf("given up after %v to %q: %v; want after the 4s of the write", time.Since(began), l.holder(t), err)
		}
	})
}

func TestLosingTheLeaseEndsRunAndAllWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases()
		b := electing(t, l, "me_1_")
		b.reader.set(policy.RunningRequests, 50)
		b.deploy("a", 1, asks(policy.RunningRequests))
		ended := b.start(t.Context())
		time.Sleep(3500 * time.Millisecond) // between two renewals
		l.unplug()
		renewed := *b.lease.renewed.Load()
		time.Sleep(renewDeadline - time.Since(renewed) - time.Millisecond)
		deadline, err := b.lease.gate()
		if err != nil || deadline.Sub(renewed) != leaseDuration {
			t.Errorf("just before the deadline: until %v, %v; want open until the lease ends", deadline.Sub(renewed), err)
		}
		time.Sleep(time.Millisecond)
		if _, err := b.lease.gate(); !errors.Is(err, errNotLeader) {
			t.Errorf("at the deadline: %v, want the gate shut", err)
		}
		b.reader.set(policy.RunningRequests, 100)
		if err := <-ended; !errors.Is(err, ErrLeaseLost) {
			t.Errorf("Run ended with %v, want ErrLeaseLost", err)
		}
		b.want()
	})
}

func TestStandbyEndsQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeases()
		other := "other_1_"
		seconds := int32(15)
		now := metav1.NewMicroTime(time.Now().Add(time.Hour))
		_, err := l.CoordinationV1().Leases("system").Create(t.Context(), &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: "gpuscaler", Namespace: "system"},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &other, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b := electing(t, l, "me_1_")
		ctx, stop := context.WithCancel(t.Context())
		ended := b.start(ctx)
		time.Sleep(5 * time.Second)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ending a standby: %v", err)
		}
		if holder := l.holder(t); holder != other {
			t.Errorf("the lease is held by %q, want it left to %q", holder, other)
		}
	})
}

func TestIdentity(t *testing.T) {
	a, b := Identity("pod-1", "10.0.0.1:8080", ""), Identity("pod-1", "10.0.0.1:8080", "")
	if a == b {
		t.Errorf("two processes have the identity %s", a)
	}
	for identity, want := range map[string]string{
		a:                                 "10.0.0.1:8080",
		Identity("a_b_c", "[::1]:80", ""): "[::1]:80",
		Identity("pod", "", ""):           "",
		Identity("pod", "10.0.0.1:8080", "10.0.0.1:8443"): "10.0.0.1:8080",
		Identity("pod", "", "10.0.0.1:8443"):              "",
		"someone":                                         "",
		"":                                                "",
		// What no process of ours would write.
		"x_1_prometheus.monitoring:9090":  "",
		"x_1_169.254.169.254:80":          "",
		"x_1_[::ffff:169.254.169.254]:80": "",
		"x_1_[fe80::1%eth0]:80":           "",
		"x_1_224.0.0.1:80":                "",
		"x_1_0.0.0.0:80":                  "",
		"x_1_10.0.0.1:0":                  "",
		"x_1_10.0.0.1:80/../secret?":      "",
		"x_1_user:password@10.0.0.1:80":   "",
	} {
		if got := addressOf(identity); got != want {
			t.Errorf("address in %q is %q, want %q", identity, got, want)
		}
	}
	for identity, want := range map[string]string{
		a:                                 "",
		Identity("a_b_c", "[::1]:80", ""): "",
		Identity("pod", "10.0.0.1:8080", "10.0.0.1:8443"): "10.0.0.1:8443",
		Identity("a_b", "", "[::1]:443"):                  "[::1]:443",
		"x_1_169.254.169.254:80_":                         "",
		"10.0.0.1:8443_":                                  "",
		"":                                                "",
	} {
		if got := secureAddressOf(identity); got != want {
			t.Errorf("secure address in %q is %q, want %q", identity, got, want)
		}
	}
}

// Whoever wrote the Lease, an address to forward to is an IP address and a port.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{"pod_1_10.0.0.1:8080", "pod_1_10.0.0.1:8443_10.0.0.1:8080", "pod_1_[::1]:8443_", "x_1_169.254.169.254:80_", "_____"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, identity string) {
		for _, address := range []string{addressOf(identity), secureAddressOf(identity)} {
			if address == "" {
				continue
			}
			parsed, err := netip.ParseAddrPort(address)
			if err != nil || parsed.Addr().IsLinkLocalUnicast() || parsed.Addr().IsUnspecified() || parsed.Addr().Zone() != "" {
				t.Errorf("%q leads to %q", identity, address)
			}
		}
	})
}

func TestOptionsTellEverythingThatIsWrong(t *testing.T) {
	_, err := New(Options{
		Namespaces: []string{"a"}, NamespaceSelector: nothing(), DryRun: true, LeaderElection: &LeaderElection{}, Workers: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Kubernetes client is required", "reader of signals", "interval 0s", "max-sample-age 0s", "workers -1", "not both", "dry run",
		"client of its own", "namespace of its Lease", "name of its Lease", "identity",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestRunFromStartToEnd(t *testing.T) {
	controller := true
	owner := func(kind, uid string) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, UID: types.UID(uid), Controller: &controller}}
	}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a-1", UID: "ns/a-1", OwnerReferences: owner("Deployment", "ns/a")}}
	client := fake.NewClientset(apiDeployment("ns", "a", 1, asks(policy.RunningRequests)), set, apiPod("ns", "a-1-1", "a-1"))
	l := newLeases()
	c := controllerOn(t, client, func(o *Options) {
		o.Settings.Interval = 100 * time.Millisecond
		o.Events = true
		o.LeaderElection = &LeaderElection{Client: l, Namespace: "system", Name: "gpuscaler", Identity: "me_1_"}
	})
	c.options.Signals.(*fakeReader).set(policy.RunningRequests, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	scaler := c.scaler.(*fakeScaler)
	eventually(t, "a write", func() bool { return len(scaler.made()) > 0 })
	eventually(t, "an Event", func() bool {
		list, err := client.CoreV1().Events("ns").List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) > 0 && list.Items[0].Reason == "SuccessfulRescale" &&
			list.Items[0].InvolvedObject.Kind == "Deployment" && list.Items[0].InvolvedObject.UID == "ns/a"
	})
	if !c.ready.Load() {
		t.Error("not ready though it scales")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	if holder := l.holder(t); holder != "" {
		t.Errorf("the lease is held by %q in the end, want nobody", holder)
	}
}
