package controller

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The times of the Lease. A standby looks after each retryPeriod times 1 to 2.2 (client-go's jitter), so that it sees the last renewal up
// to 2.2 s late, and its end as much: with these times it leads in 18.4 s at the latest. Kubernetes' own controllers, with 15, 10 and 2,
// take up to 23.8 s.
const (
	leaseDuration = 14 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = time.Second
)

// ErrLeaseLost is returned by Run when another process may have become leader. The process should end and be started anew.
var ErrLeaseLost = errors.New("the lease was lost: it could not be renewed in time")

// LeaseName returns the name of the Lease of the controllers of one name, which may be empty.
func LeaseName(controllerName string) string {
	if controllerName == "" {
		return "gpuscaler"
	}
	return "gpuscaler-" + controllerName
}

// Identity makes the identity of a process for its Lease from its host's (pod's) name and the address, host:port, at
// which the others reach its HTTP server; empty if they cannot. secure is that of its HTTPS server, empty if there is none. It is
// different each time, so that a process started anew does not take itself for the leader it was.
func Identity(name, address, secure string) string {
	if secure != "" {
		secure = "_" + secure
	}
	return fmt.Sprintf("%s_%08x%s_%s", name, rand.Uint32(), secure, address)
}

// addressOf returns the address of the HTTP server in an identity, empty if there is none.
func addressOf(identity string) string { return addressAt(identity, 1) }

// secureAddressOf returns the address of the HTTPS server in an identity, empty if there is none.
func secureAddressOf(identity string) string { return addressAt(identity, 2) }

// addressAt returns the address in the last but so many parts of an identity, counted from 1, empty if there is none that a process
// of this program would give: others may have the right to write a Lease, and must not choose freely where requests are forwarded
// to. It is an IP address and a port, and never a link's own, where clouds serve credentials.
func addressAt(identity string, last int) string {
	parts := strings.Split(identity, "_")
	if len(parts) < 2+last {
		return ""
	}
	address, err := netip.ParseAddrPort(parts[len(parts)-last])
	ip := address.Addr().Unmap()
	if err != nil || address.Port() == 0 || !ip.IsGlobalUnicast() && !ip.IsLoopback() {
		return ""
	}
	return address.String()
}

// lease is the election with what it takes to write only while leading.
type lease struct {
	resourcelock.Interface
	elector *leaderelection.LeaderElector
	// release is called before the lease is given up: it returns when the last write has finished.
	release func(context.Context)
	// renewed is when the last successful renewal was sent, nil before the first and after the end. A time.Time keeps the
	// monotonic clock, which no adjustment of the wall clock moves.
	renewed atomic.Pointer[time.Time]
	// before is when another process renewed or released the Lease last, as far as this one has seen; nil if none has.
	before  atomic.Pointer[time.Time]
	leading chan struct{} // closed when this process becomes the leader
}

// newLease prepares the election of the Options.
func newLease(o *LeaderElection, release func(context.Context)) (*lease, error) {
	l := &lease{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
			Client:     o.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: o.Identity},
		},
		release: release,
		leading: make(chan struct{}),
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            l,
		LeaseDuration:   leaseDuration,
		RenewDeadline:   renewDeadline,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: true,
		Name:            o.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(l.leading) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing leader election: %w", err)
	}
	l.elector = elector
	return l, nil
}

// Get reads the Lease, and notes until when the former leader went on.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.before.Store(&record.RenewTime.Time)
	}
	return record, raw, err
}

// Create creates the Lease as ours.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.renew(func() error { return l.Interface.Create(ctx, record) })
}

// Update renews the Lease, or gives it up if the record names no holder. Both ways to give it up, on shutdown and after
// a failure to renew, come through here, so no write can be under way once another may lead.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" {
		l.renewed.Store(nil)
		l.release(ctx)
		return l.Interface.Update(ctx, record)
	}
	return l.renew(func() error { return l.Interface.Update(ctx, record) })
}

// renew notes when a successful request was sent: the lease counts from then at the earliest.
func (l *lease) renew(request func() error) error {
	sent := time.Now()
	err := request()
	if err == nil {
		l.renewed.Store(&sent)
	}
	return err
}

// gate lets writes through while the last renewal is so young that no other process can lead, and bounds them by the
// end of the lease.
func (l *lease) gate() (deadline time.Time, err error) {
	renewed := l.renewed.Load()
	if renewed == nil {
		return time.Time{}, errNotLeader
	}
	// The monotonic clock stands still while a machine sleeps, and the wall clock can be set back: the larger age counts.
	now := time.Now()
	if age := max(now.Sub(*renewed), now.Round(0).Sub(renewed.Round(0))); age >= renewDeadline {
		return time.Time{}, fmt.Errorf("%w: last renewed %v ago", errNotLeader, age.Round(time.Millisecond))
	}
	return renewed.Add(leaseDuration), nil
}

// leads reports whether writes may be made now.
func (l *lease) leads() bool {
	_, err := l.gate()
	return err == nil
}
