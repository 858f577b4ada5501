package pods

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// pod is one in the kubelet's answer, in namespace ml: a container for each list of ids.
func pod(name, resource string, containers ...[]string) *podresources.PodResources {
	p := &podresources.PodResources{Namespace: "ml", Name: name}
	for n, ids := range containers {
		p.Containers = append(p.Containers, &podresources.ContainerResources{
			Name:    string(rune('a' + n)),
			Devices: []*podresources.ContainerDevices{{ResourceName: resource, DeviceIds: ids}},
		})
	}
	return p
}

func answer(pods ...*podresources.PodResources) *podresources.ListPodResourcesResponse {
	return &podresources.ListPodResourcesResponse{PodResources: pods}
}

func TestHolders(t *testing.T) {
	for _, c := range []struct {
		name         string
		pods         []*podresources.PodResources
		whole, slice []Holder
		unknown      []string
	}{
		{name: "nobody", pods: []*podresources.PodResources{pod("idle", "nvidia.com/gpu", nil)}},
		{
			name:  "one each",
			pods:  []*podresources.PodResources{pod("llm", "nvidia.com/gpu", []string{gpuA}), pod("small", "nvidia.com/mig-1g.10gb", []string{migA})},
			whole: []Holder{{Pod{"ml", "llm"}, "a"}}, slice: []Holder{{Pod{"ml", "small"}, "a"}},
		},
		{
			name:  "another container, the first counts",
			pods:  []*podresources.PodResources{pod("llm", "nvidia.com/gpu.shared", nil, []string{gpuA + "::0"}, []string{gpuA + "::1"})},
			whole: []Holder{{Pod{"ml", "llm"}, "b"}},
		},
		{
			name:  "shared, in the order of their names",
			pods:  []*podresources.PodResources{pod("z", "nvidia.com/gpu", []string{gpuA + "::1"}), pod("b", "nvidia.com/gpu", []string{"nvidia3/vgpu0"})},
			whole: []Holder{{Pod{"ml", "b"}, "a"}, {Pod{"ml", "z"}, "a"}},
		},
		{name: "another vendor's", pods: []*podresources.PodResources{pod("llm", "amd.com/gpu", []string{gpuA})}},
		{name: "not understood", pods: []*podresources.PodResources{pod("llm", "nvidia.com/gpu", []string{"0"})}, unknown: []string{"0"}},
	} {
		holders, unknown := holdersOf(answer(c.pods...))
		if got := holders.Of(whole); !reflect.DeepEqual(got, c.whole) {
			t.Errorf("%s: the GPU is held by %v, want %v", c.name, got, c.whole)
		}
		if got := holders.Of(slice); !reflect.DeepEqual(got, c.slice) {
			t.Errorf("%s: the MIG device is held by %v, want %v", c.name, got, c.slice)
		}
		if !reflect.DeepEqual(unknown, c.unknown) {
			t.Errorf("%s: not understood are %q, want %q", c.name, unknown, c.unknown)
		}
	}
}

// silent is a kubelet that answers at first, and after that not before the questioner gives up.
type silent struct {
	podresources.PodResourcesListerClient
	answers int
	asked   []time.Time
}

func (s *silent) List(ctx context.Context, _ *podresources.ListPodResourcesRequest, _ ...grpc.CallOption) (*podresources.ListPodResourcesResponse, error) {
	s.asked = append(s.asked, time.Now())
	if len(s.asked) <= s.answers {
		return answer(pod("llm", "nvidia.com/gpu", []string{gpuA})), nil
	}
	<-ctx.Done()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// TestKubeletSilent wants the last answer to count for 5 s after it was asked for, and no longer.
func TestKubeletSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &silent{answers: 2}
		var reasons []string
		k := &Kubelet{client: client, conn: io.NopCloser(nil), report: func(err error, _ []string) {
			if err != nil {
				reasons = append(reasons, Reason(err))
			}
		}}
		if _, known := k.Holders(); known {
			t.Error("the holders are known before the kubelet has answered")
		}
		ctx, stop := context.WithCancel(t.Context())
		go k.Run(ctx)
		start := time.Now()
		for _, c := range []struct {
			after time.Duration
			known bool
		}{{500 * time.Millisecond, true}, {time.Second, true}, {6 * time.Second, true}, {6001 * time.Millisecond, false}, {time.Minute, false}} {
			time.Sleep(time.Until(start.Add(c.after)))
			synctest.Wait()
			if holders, known := k.Holders(); known != c.known || known && len(holders.Of(whole)) != 1 {
				t.Errorf("after %v the holders are %v, known: %t, want %t", c.after, holders, known, c.known)
			}
		}
		stop()
		synctest.Wait()
		if len(reasons) < 20 || reasons[0] != "deadline" {
			t.Errorf("the failures are told as %q", reasons)
		}
		for n := range client.asked[1:] {
			if apart := client.asked[n+1].Sub(client.asked[n]); apart < interval {
				t.Errorf("two questions are %v apart", apart)
			}
		}
	})
}

// lister is a kubelet.
type lister struct {
	podresources.UnimplementedPodResourcesListerServer
	answer *podresources.ListPodResourcesResponse
}

func (l *lister) List(context.Context, *podresources.ListPodResourcesRequest) (*podresources.ListPodResourcesResponse, error) {
	return l.answer, nil
}

// listen serves a kubelet at a socket.
func listen(t *testing.T, socket string, l *lister) *grpc.Server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	podresources.RegisterPodResourcesListerServer(server, l)
	go func() { _ = server.Serve(listener) }() // it ends when it is stopped
	t.Cleanup(server.Stop)
	return server
}

// TestKubeletRestarts asks a real server, which goes and comes again with a new socket and other pods.
func TestKubeletRestarts(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "kubelet.sock")
	var last error
	k, err := NewKubelet(socket, func(err error, _ []string) { last = err })
	if err != nil {
		t.Fatal(err)
	}
	defer k.conn.Close()
	holder := func() string {
		k.ask(t.Context())
		holders, known := k.Holders()
		if !known || len(holders.Of(whole)) != 1 {
			return ""
		}
		return holders.Of(whole)[0].Name
	}
	if got := holder(); got != "" || Reason(last) != "unavailable" {
		t.Errorf("without a kubelet it is held by %q, error %v", got, last)
	}
	first := listen(t, socket, &lister{answer: answer(pod("old", "nvidia.com/gpu", []string{gpuA}))})
	waitFor(t, func() bool { return holder() == "old" })
	first.Stop()
	listen(t, socket, &lister{answer: answer(pod("new", "nvidia.com/gpu", []string{gpuA}))})
	waitFor(t, func() bool { return holder() == "new" })
	if last != nil {
		t.Errorf("in the end it fails with %v", last)
	}
}

// waitFor waits for what happens in other processes' time.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

func TestReason(t *testing.T) {
	for code, want := range map[codes.Code]string{
		codes.DeadlineExceeded: "deadline", codes.Unavailable: "unavailable", codes.ResourceExhausted: "too_large_or_too_often",
		codes.PermissionDenied: "no_permission", codes.Unimplemented: "not_supported", codes.Internal: "unknown",
	} {
		if got := Reason(fmt.Errorf("asking: %w", status.Error(code, "x"))); got != want {
			t.Errorf("%v is %q, want %q", code, got, want)
		}
	}
}
