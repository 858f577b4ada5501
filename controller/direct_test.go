package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// fakeDirect answers for pods by their names.
type fakeDirect struct {
	mu sync.Mutex
	// pods are the samples by name; agents those that come from an agent.
	pods, agents map[string]policy.Sample
	problem      string
	// hang makes every read wait: for the context, or with deaf for ever.
	hang, deaf bool
	panics     bool
	asked      []DirectTarget
}

func (f *fakeDirect) ReadDirect(ctx context.Context, _ time.Time, t DirectTarget) DirectReadings {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, t)
	switch {
	case f.panics:
		panic("boom")
	case f.deaf:
		select {}
	case f.hang:
		<-ctx.Done()
	}
	r := DirectReadings{
		Problem: f.problem, Pods: Asked{All: len(t.Pods), Asked: len(t.Pods), Failed: len(t.Pods) - len(f.pods)},
		FromAgent: func(_ int, _, name string) bool { _, ok := f.agents[name]; return ok },
	}
	for range t.Signals {
		r.Signals = append(r.Signals, Readings{Pod: func(_, name string) (policy.Sample, string) {
			if s, ok := f.agents[name]; ok {
				return s, "agent_metric"
			}
			return f.pods[name], "pod_metric"
		}})
	}
	return r
}

// sampled is a sample taken some seconds after noon.
func sampled(value float64, seconds int) policy.Sample {
	return policy.Sample{Value: value, OK: true, Time: noon.Add(time.Duration(seconds) * time.Second)}
}

// address gives the pods of a Deployment addresses.
func (b *bed) address(name string, n int) {
	for i := range n {
		p := *b.members.pods.get(key{"ns", fmt.Sprintf("%s-%d", name, i)})
		p.ip, p.node = netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), unique.Make(fmt.Sprintf("node-%d", i))
		_ = b.members.pods.Update(&p)
	}
}

// directBed has a Deployment with two ready pods at a target of 50 running requests.
func directBed(t *testing.T, f *fakeDirect, change ...func(*Options)) *bed {
	b := newBed(t, append([]func(*Options){func(o *Options) { o.Direct = f }}, change...)...)
	b.deploy("a", 2, asks(policy.RunningRequests, "scrape", "8000/metrics"))
	b.address("a", 2)
	return b
}

func withoutPrometheus(o *Options) { o.Signals = nil }

// What pods and Prometheus say is joined pod by pod: the younger sample counts, and whoever fails is stood in for in the same tick.
func TestYoungerSampleCounts(t *testing.T) {
	both := map[string]policy.Sample{"a-0": sampled(100, 0), "a-1": sampled(100, 0)}
	for name, tt := range map[string]struct {
		direct     *fakeDirect
		prometheus policy.Sample // of every pod
		fails      error
		without    bool
		desired    int
		source     string // of the signal
		message    string // a part of it
		origins    origins
	}{
		"pods alone":                    {direct: &fakeDirect{pods: both}, without: true, desired: 4, source: "pod_metric (pods)", origins: origins{pods: 2}},
		"pods before Prometheus":        {direct: &fakeDirect{pods: both}, prometheus: policy.Sample{Value: 50, OK: true}, desired: 4, source: "pod_metric (pods)", origins: origins{pods: 2}},
		"Prometheus fails":              {direct: &fakeDirect{pods: both}, fails: errors.New("down"), desired: 4, source: "pod_metric (pods)", origins: origins{pods: 2}},
		"agents":                        {direct: &fakeDirect{agents: both}, without: true, desired: 4, source: "agent_metric (NVML agents)", origins: origins{agents: 2}},
		"pods fail, Prometheus answers": {direct: &fakeDirect{problem: "refused"}, prometheus: sampled(100, 0), desired: 4, source: "test_metric (Prometheus)", origins: origins{prometheus: 2}},
		"one pod fails":                 {direct: &fakeDirect{problem: "refused", pods: map[string]policy.Sample{"a-0": sampled(100, 0)}}, prometheus: sampled(100, -9), desired: 4, source: "pod_metric (pods and Prometheus)", origins: origins{pods: 1, prometheus: 1}},
		"Prometheus is younger":         {direct: &fakeDirect{pods: map[string]policy.Sample{"a-0": sampled(50, -60), "a-1": sampled(100, 0)}}, prometheus: sampled(100, -9), desired: 4, source: "pod_metric (pods and Prometheus)", origins: origins{pods: 1, prometheus: 1}},
		"one pod fails, no Prometheus":  {direct: &fakeDirect{problem: "10.0.0.2 refused", pods: map[string]policy.Sample{"a-0": sampled(100, 0)}}, without: true, desired: 2, source: "pod_metric (pods)", origins: origins{pods: 1}},
		"all fail":                      {direct: &fakeDirect{problem: "connection refused"}, fails: errors.New("down"), desired: 2, message: "no usable sample of running-requests (connection refused; down)"},
		"all fail, no Prometheus":       {direct: &fakeDirect{problem: "connection refused"}, without: true, desired: 2, message: "no usable sample of running-requests (connection refused)"},
		"no series, no Prometheus":      {direct: &fakeDirect{}, without: true, desired: 2, message: "no usable sample of running-requests (pods and agents answer, and tell nothing of it)"},
		"panic":                         {direct: &fakeDirect{panics: true}, without: true, desired: 2, message: "pods and agents: panic while reading: boom"},
		"too old":                       {direct: &fakeDirect{pods: map[string]policy.Sample{"a-0": sampled(1, -91), "a-1": sampled(1, -91)}}, without: true, desired: 2, message: "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			b := directBed(t, tt.direct, func(o *Options) {
				if tt.without {
					o.Signals = nil
				} else {
					o.Signals = signalFunc(func() (Readings, error) {
						return Readings{Pod: func(string, string) (policy.Sample, string) { return tt.prometheus, "test_metric" }}, tt.fails
					})
				}
			})
			w := b.tick(0).Find("ns", "a")
			if w.Decision.Desired != tt.desired || !strings.Contains(w.Message(), tt.message) {
				t.Errorf("%d, want %d, and %q in %q", w.Decision.Desired, tt.desired, tt.message, w.Message())
			}
			if s := w.Decision.Signals[0]; s.Source != tt.source && tt.message == "" {
				t.Errorf("source %q, want %q", s.Source, tt.source)
			}
			got := w.origins[0]
			if got.metric, got.signal = "", ""; got != tt.origins && tt.message == "" {
				t.Errorf("origins %+v, want %+v", got, tt.origins)
			}
		})
	}
}

// signalFunc is a SignalReader.
type signalFunc func() (Readings, error)

func (f signalFunc) Read(context.Context, policy.Signal, []string) (Readings, error) { return f() }

// Nothing is lowered on what pods do not say, however low the last samples were.
func TestSilentPodsAreNotIdle(t *testing.T) {
	f := &fakeDirect{pods: map[string]policy.Sample{"a-0": sampled(1, 0), "a-1": sampled(1, 0)}}
	b := newBed(t, withoutPrometheus, func(o *Options) { o.Direct = f })
	b.deploy("a", 2, asks(policy.RunningRequests, "scrape", "8000/metrics", "scale-down.stabilization", "10s"))
	b.address("a", 2)
	b.tick(0)
	f.pods, f.problem = nil, "connection refused"
	for n := 1; n < 30; n++ {
		if w := b.tick(n).Find("ns", "a"); w.Decision.Desired != 2 || w.Decision.Reason != policy.NoData {
			t.Fatalf("tick %d: %d (%s)", n, w.Decision.Desired, w.Message())
		}
	}
}

// A Prometheus that hangs does not hold up what the pods say, and pods that hang do not hold up other targets.
func TestNobodyWaitsForTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeDirect{pods: map[string]policy.Sample{"a-0": sampled(100, 0), "a-1": sampled(100, 0)}}
		b := directBed(t, f)
		b.reader.hang = map[policy.Signal]bool{policy.RunningRequests: true}
		began := time.Now()
		wrote := make(chan time.Duration, 1)
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			wrote <- time.Since(began)
			return written{replicas: c.to}, nil
		}
		b.tick(0)
		if took := <-wrote; took != 0 {
			t.Errorf("the write waited %v for Prometheus", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := directBed(t, &fakeDirect{hang: true})
		b.deploy("b", 2, asks(policy.RunningRequests))
		b.reader.set(policy.RunningRequests, 100)
		began := time.Now()
		wrote := map[string]time.Duration{}
		b.scaler.answer = func(_ context.Context, c change) (written, error) {
			wrote[c.name] = time.Since(began)
			return written{replicas: c.to}, nil
		}
		b.tick(0)
		if took, ok := wrote["b"]; !ok || took != 0 {
			t.Errorf("b was written after %v (%t)", took, ok)
		}
		if took, ok := wrote["a"]; !ok || took > 5*time.Second {
			t.Errorf("a was written after %v (%t): Prometheus has its samples", took, ok)
		}
	})
}

// A reader that does not honour the deadline costs its target the tick, and no more.
func TestDeafReader(t *testing.T) {
	f := &fakeDirect{deaf: true}
	b := directBed(t, f, withoutPrometheus, func(o *Options) { o.QueryTimeout = 20 * time.Millisecond })
	if w := b.tick(0).Find("ns", "a"); w.Decision.Desired != 2 || !strings.Contains(w.Message(), "pods and agents: no answer within the tick") {
		t.Errorf("%d: %s", w.Decision.Desired, w.Message())
	}
}

// Only a target's own Ready pods are asked, and only where something is to be had.
func TestWhoIsAsked(t *testing.T) {
	agents := func(b *bed, nodes ...string) {
		b.watches.agents = &store[*agent]{}
		for i, node := range nodes {
			ip := netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})
			_ = b.watches.agents.Update(&agent{meta{"sys", "agent-" + node, "1"}, unique.Make(node), netip.AddrPortFrom(ip, 9401)})
		}
	}
	for name, tt := range map[string]struct {
		annotations map[string]string
		nodes       []string
		phase       policy.Phase
		want        string
	}{
		"scrape":                   {asks(policy.QueueDepth, "scrape", "8000/metrics"), nil, policy.Ready, "8000/metrics a-0 10.0.0.1 -, a-1 10.0.0.2 -"},
		"no scrape":                {asks(policy.RunningRequests), []string{"node-0"}, policy.Ready, ""},
		"GPUs beside a backlog":    {asks(policy.QueueDepth), []string{"node-0"}, policy.Ready, "0 a-0 10.0.0.1 10.1.0.0:9401, a-1 10.0.0.2 -"},
		"a class knows its engine": {map[string]string{policy.Prefix + "enabled": "true", policy.Prefix + "class": "sglang", policy.Prefix + "max-replicas": "4"}, nil, policy.Ready, "30000/metrics a-0 10.0.0.1 -, a-1 10.0.0.2 -"},
		"an agent":                 {asks(policy.GPUUtilization), []string{"node-1", "node-7"}, policy.Ready, "0 a-0 10.0.0.1 -, a-1 10.0.0.2 10.1.0.0:9401"},
		"no agent":                 {asks(policy.GPUUtilization), nil, policy.Ready, ""},
		"no pod is Ready":          {asks(policy.QueueDepth, "scrape", "8000/metrics"), nil, policy.Loading, ""},
		"only custom signals":      {asks("mine", "query.mine", "q", "scrape", "8000/metrics"), []string{"node-0"}, policy.Ready, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeDirect{}
			b := newBed(t, func(o *Options) { o.Direct = f })
			b.show("a", "uid-a", 2, tt.annotations)
			b.run("a", "uid-a", 2, tt.phase)
			b.address("a", 2)
			b.deploy("other", 1, asks(policy.RunningRequests))
			agents(b, tt.nodes...)
			b.tick(0)
			if got := listed(f.asked); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// listed renders who was asked.
func listed(asked []DirectTarget) string {
	var parts []string
	for _, t := range asked {
		for _, p := range t.Pods {
			agent := "-"
			if p.Agent.IsValid() {
				agent = p.Agent.String()
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", p.Name, p.IP, agent))
		}
		slices.Sort(parts)
		if len(parts) > 0 {
			parts[0] = fmt.Sprintf("%d%s %s", t.Scrape.Port, t.Scrape.Path, parts[0])
		}
	}
	return strings.Join(parts, ", ")
}

// What is asked, and where samples come from, is counted.
func TestSourcesAreCounted(t *testing.T) {
	f := &fakeDirect{pods: map[string]policy.Sample{"a-0": sampled(100, 0)}, problem: "refused"}
	b := directBed(t, f)
	b.deploy("b", 1, asks(policy.RunningRequests))
	b.reader.set(policy.RunningRequests, 50)
	b.tick(0)
	const want = `# HELP gpuscaler_scrapes_total Pods and NVML agents that were to be read, for each workload and tick, by whether they answered when last asked.
# TYPE gpuscaler_scrapes_total counter
gpuscaler_scrapes_total{result="failure",source="pods"} 1
gpuscaler_scrapes_total{result="success",source="pods"} 1
# HELP gpuscaler_signal_samples Pods that a signal was read of at the last tick, by where their samples came from.
# TYPE gpuscaler_signal_samples gauge
gpuscaler_signal_samples{namespace="ns",signal="running-requests",source="nvml-agents",workload="a",workload_kind="Deployment"} 0
gpuscaler_signal_samples{namespace="ns",signal="running-requests",source="pods",workload="a",workload_kind="Deployment"} 1
gpuscaler_signal_samples{namespace="ns",signal="running-requests",source="prometheus",workload="a",workload_kind="Deployment"} 1
gpuscaler_signal_samples{namespace="ns",signal="running-requests",source="prometheus",workload="b",workload_kind="Deployment"} 1
`
	if err := testutil.GatherAndCompare(b.registry, strings.NewReader(want), "gpuscaler_scrapes_total", "gpuscaler_signal_samples"); err != nil {
		t.Error(err)
	}
}

// An agent counts when it is Ready, has a node and an address, and is not on its way out.
func TestAgents(t *testing.T) {
	ready := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "sys", Name: "agent"}, Spec: corev1.PodSpec{NodeName: "n"},
			Status: corev1.PodStatus{PodIP: "10.1.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}
		change(p)
		return p
	}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		keep bool
		want string
	}{
		"ready": {ready(func(*corev1.Pod) {}), true, "10.1.0.1:9401"},
		"own port": {ready(func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 9500}}}}
		}), true, "10.1.0.1:9500"},
		"IPv6":       {ready(func(p *corev1.Pod) { p.Status.PodIP = "fd00::1" }), true, "[fd00::1]:9401"},
		"not ready":  {ready(func(p *corev1.Pod) { p.Status.Conditions = nil }), false, "10.1.0.1:9401"},
		"no address": {ready(func(p *corev1.Pod) { p.Status.PodIP = "" }), false, "invalid AddrPort"},
		"no node":    {ready(func(p *corev1.Pod) { p.Spec.NodeName = "" }), false, "10.1.0.1:9401"},
		"leaving":    {ready(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), false, "10.1.0.1:9401"},
	} {
		a, keep := newAgent(tt.pod)
		if keep != tt.keep || a.address.String() != tt.want {
			t.Errorf("%s: %v (%t), want %v (%t)", name, a.address, keep, tt.want, tt.keep)
		}
	}
}
