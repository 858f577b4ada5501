package pods

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

const (
	// interval is how often the kubelet is asked. It allows 100 questions a second of all who ask.
	interval = time.Second
	// deadline is how long it may take to answer.
	deadline = time.Second
	// goodFor is how long an answer counts while no newer one comes. After that it may be a dead pod that is named.
	goodFor = 5 * time.Second
	// maxAnswer bounds the answer, in bytes: some hundred per container of the node.
	maxAnswer = 16 << 20
)

// Report is told of each question to the kubelet: its error, or nil and the ids of devices that were not understood.
type Report func(err error, unknown []string)

// Kubelet knows who holds the devices of the node. It is safe for concurrent use.
type Kubelet struct {
	client podresources.PodResourcesListerClient
	conn   io.Closer
	report Report

	mu      sync.Mutex
	holders Holders
	at      time.Time // when holders were asked for; zero if never
}

// NewKubelet prepares asking the kubelet at a socket. Nothing need listen there yet, and the one who does may change.
func NewKubelet(socket string, report Report) (*Kubelet, error) {
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: interval / 2, Multiplier: 1, MaxDelay: interval},
			MinConnectTimeout: deadline,
		}),
		// A proxy for a file on this node, or asking DNS for a configuration, is never meant.
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("preparing to ask the kubelet at %s: %w", socket, err)
	}
	return &Kubelet{client: podresources.NewPodResourcesListerClient(conn), conn: conn, report: report}, nil
}

// Run asks until the context ends.
func (k *Kubelet) Run(ctx context.Context) {
	defer k.conn.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		k.ask(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks once. The answer dates from when it was asked for.
func (k *Kubelet) ask(ctx context.Context) {
	asked := time.Now()
	within, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	answer, err := k.client.List(within, &podresources.ListPodResourcesRequest{})
	if err != nil {
		if ctx.Err() == nil {
			k.report(fmt.Errorf("asking the kubelet which pods hold GPUs: %w", err), nil)
		}
		return
	}
	holders, unknown := holdersOf(answer)
	k.mu.Lock()
	k.holders, k.at = holders, asked
	k.mu.Unlock()
	k.report(nil, unknown)
}

// Holders returns who held the devices at last, false if that is not known: the kubelet has not answered for 5 s.
func (k *Kubelet) Holders() (Holders, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() || time.Since(k.at) > goodFor {
		return nil, false
	}
	return k.holders, true
}

// Reason is one word for why the kubelet did not answer.
func Reason(err error) string {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return "deadline"
	case codes.Unavailable:
		return "unavailable"
	case codes.PermissionDenied:
		return "no_permission"
	case codes.Unimplemented:
		return "not_supported"
	case codes.ResourceExhausted:
		return "too_large_or_too_often"
	}
	return "unknown"
}
