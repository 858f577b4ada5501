package metrics

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// tickZero is when tests begin. Ticks are parameters: nothing waits.
var tickZero = time.Unix(1767225600, 0)

func at(seconds int) time.Time { return tickZero.Add(time.Duration(seconds) * time.Second) }

// pods are servers on addresses of their own and one port, as pods are.
type pods struct {
	t     testing.TB
	port  int
	list  []DirectPod
	conns atomic.Int32 // accepted ones
}

const (
	textType        = "text/plain; version=0.0.4; charset=utf-8"
	openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// newPods starts n pods named p0, p1, … on 127.0.0.2, 127.0.0.3, ….
func newPods(t testing.TB, n int, handler func(pod int) http.Handler) *pods {
	t.Helper()
	p := &pods{t: t}
	for i := range n {
		p.serve(i, handler(i))
	}
	return p
}

// podIP is the address of a pod.
func podIP(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, byte((i + 2) >> 8), byte(i + 2)})
}

func (p *pods) serve(i int, handler http.Handler) {
	p.t.Helper()
	var listener net.Listener
	var err error
	for range 50 { // the port may be taken on the next address
		if listener, err = net.Listen("tcp", netip.AddrPortFrom(podIP(i), uint16(p.port)).String()); err == nil {
			break
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.port = listener.Addr().(*net.TCPAddr).Port
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.conns.Add(1)
		}
	}
	server.Start()
	p.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	for len(p.list) <= i {
		n := len(p.list)
		p.list = append(p.list, DirectPod{Name: fmt.Sprintf("p%d", n), IP: podIP(n)})
	}
}

func (p *pods) target(signals ...policy.Signal) DirectTarget {
	return DirectTarget{Namespace: "ml", Workload: "llama", Port: p.port, Path: "/metrics", Pods: p.list, Signals: signals}
}

// book is a page that changes.
type book struct {
	mu   sync.Mutex
	kind string
	text string
}

func newBook(text string) *book { return &book{kind: textType, text: text} }

func (b *book) write(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = text
}

func (b *book) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.Header().Set("Content-Type", b.kind)
	_, _ = w.Write([]byte(b.text))
}

// told renders the samples of a result as pod: "value source", idle or not, values to six digits.
func told(r DirectResult) map[string]string {
	got := map[string]string{}
	for key, reading := range r.Samples.All() {
		s := fmt.Sprintf("%.6g %s", reading.Value, reading.Source)
		if reading.Idle {
			s = "idle " + reading.Source
		}
		got[key.Pod] = s
	}
	return got
}

func wantTold(t *testing.T, r DirectResult, want map[string]string) {
	t.Helper()
	if got := told(r); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReadOnePod(t *testing.T) {
	page := newBook("vllm:num_requests_waiting{engine=\"0\"} 3\nvllm:generation_tokens_total{engine=\"0\"} 100\n")
	p := newPods(t, 1, func(int) http.Handler { return page })
	d := NewDirect(DirectOptions{})
	target := p.target(policy.QueueDepth, policy.TokensPerSecond)
	r := d.Read(context.Background(), at(0), target)
	if r.Failed != 0 || r.Sampled != 1 || r.Pods != 1 || r.Problem != "" {
		t.Fatalf("%+v", r)
	}
	wantTold(t, r.Results[0], map[string]string{"p0": "3 vllm:num_requests_waiting"})
	wantTold(t, r.Results[1], map[string]string{})
	reading, _ := r.Results[0].Samples.Get("ml", "p0")
	if !reading.Time.Equal(at(0)) || r.Results[0].From(reading) != OriginPods || !r.Results[0].ServerTime.IsZero() {
		t.Errorf("%+v", reading)
	}
	page.write("vllm:num_requests_waiting{engine=\"0\"} 4\nvllm:generation_tokens_total{engine=\"0\"} 1100\n")
	r = d.Read(context.Background(), at(10), target)
	wantTold(t, r.Results[0], map[string]string{"p0": "4 vllm:num_requests_waiting"})
	if reading, ok := r.Results[1].Samples.Get("ml", "p0"); !ok || reading.Value < 99 || reading.Value > 101 {
		t.Errorf("rate %+v", reading)
	}
}

const agentPage = `# HELP gpuscaler_nvml_up x
gpuscaler_nvml_up 1
gpuscaler_nvml_time_seconds 1000
gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-1",namespace="ml",pod="p0",window="1s"} 0.1
gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-1",namespace="ml",pod="p0",window="5s"} 0.5
gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-1",namespace="ml",pod="p0",window="15s"} 0.9
gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-2",namespace="ml",pod="p0",window="5s"} 0.7
gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-3",namespace="",pod="",window="5s"} 1
gpuscaler_nvml_memory_used_bytes{uuid="GPU-1",namespace="ml",pod="p0",window="5s"} 4e10
gpuscaler_nvml_memory_total_bytes{uuid="GPU-1",namespace="ml",pod="p0"} 8e10
gpuscaler_nvml_sample_timestamp_seconds{uuid="GPU-1",namespace="ml",pod="p0"} 999.5
gpuscaler_nvml_sample_timestamp_seconds{uuid="GPU-2",namespace="ml",pod="p0"} 998
gpuscaler_nvml_sample_timestamp_seconds{uuid="GPU-3",namespace="",pod=""} 999
`

func TestReadAgent(t *testing.T) {
	server := httptest.NewServer(newBook(agentPage))
	defer server.Close()
	agent := netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://"))
	d := NewDirect(DirectOptions{})
	target := DirectTarget{
		Namespace: "ml", Workload: "llama", Signals: []policy.Signal{policy.GPUMemory, policy.GPUUtilization},
		Pods: []DirectPod{{Name: "p0", Agent: agent}},
	}
	r := d.Read(context.Background(), at(0), target)
	if r.Agents != 1 || r.AgentsFailed != 0 || r.AgentProblem != "" || r.Sampled != 0 || r.Problem != "" {
		t.Fatalf("%+v", r)
	}
	wantTold(t, r.Results[0], map[string]string{"p0": "50 gpuscaler_nvml_memory_used_bytes"})
	wantTold(t, r.Results[1], map[string]string{"p0": "60 gpuscaler_nvml_gpu_utilization_ratio"})
	reading, _ := r.Results[1].Samples.Get("ml", "p0")
	if !reading.Time.Equal(at(-2)) || r.Results[1].From(reading) != OriginAgent {
		t.Errorf("%+v", reading)
	}
}

// TestShares: what is asked in a tick stays bounded, however many targets there are, and each is asked something.
func TestShares(t *testing.T) {
	for _, c := range []struct{ targets, share int }{{1, 16}, {125, 16}, {256, 16}, {512, 8}, {1000, 4}, {10000, 1}, {100, 16}} {
		var s shares
		for tick := range 2 {
			for i := range c.targets {
				if got := s.next(at(tick)); tick == 1 && got != c.share {
					t.Fatalf("%d targets: the %dth may ask %d, want %d", c.targets, i, got, c.share)
				}
			}
		}
	}
}
