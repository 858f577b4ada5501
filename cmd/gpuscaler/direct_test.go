package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// TestAgentNamespace: a controller in the cluster believes no agents but those of its own namespace, unless it is told another. Where
// there is none, anybody might make the namespace in which deploy/ puts agents.
func TestAgentNamespace(t *testing.T) {
	for _, c := range []struct {
		inCluster  bool
		flag, want string
	}{
		{true, "", "scaling"}, {true, "agents", "agents"}, {false, "", "gpuscaler-nvml-agent"}, {false, "agents", "agents"},
	} {
		o := validOptions()
		o.leaseNamespace, o.agentNamespace = "scaling", c.flag
		options, err := o.controllerOptions(&cluster{inCluster: c.inCluster}, &adminFiles{}, &source{}, logr.Discard())
		if err != nil || options.AgentNamespace != c.want {
			t.Errorf("in a cluster %t, --nvml-agent-namespace %q: agents are looked for in %q (%v), want %q", c.inCluster, c.flag, options.AgentNamespace, err, c.want)
		}
		if options.Signals != nil || options.Times != nil || options.Direct == nil {
			t.Errorf("without Prometheus: %v, %v, %v", options.Signals, options.Times, options.Direct)
		}
	}
}

// TestDirectReader hands over what a pod and an agent say, and which of them it was. In a cluster nobody asks a process of its own host.
func TestDirectReader(t *testing.T) {
	serve := func(page string) netip.AddrPort {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, page)
		}))
		t.Cleanup(server.Close)
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		return netip.MustParseAddrPort(u.Host)
	}
	engine := serve("vllm:num_requests_running{engine=\"0\"} 7\n")
	agent := serve(`gpuscaler_nvml_up 1
gpuscaler_nvml_time_seconds 1000
gpuscaler_nvml_sample_timestamp_seconds{uuid="GPU-1",namespace="ml",pod="a"} 999
gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-1",namespace="ml",pod="a",window="5s"} 0.5
`)
	target := controller.DirectTarget{
		Namespace: "ml", Name: "llm", Scrape: policy.Scrape{Port: int(engine.Port()), Path: "/metrics"},
		Signals: []policy.Signal{policy.GPUUtilization, policy.RunningRequests},
		Pods:    []controller.DirectPod{{Name: "a", IP: engine.Addr(), Agent: agent}},
	}
	now := time.Now()
	read := newDirectReader(5*time.Second, 90*time.Second, false).ReadDirect(t.Context(), now, target)
	for i, want := range []struct {
		sample policy.Sample
		metric string
		agent  bool
	}{
		{policy.Sample{Value: 50, OK: true, Time: now.Add(-time.Second)}, "gpuscaler_nvml_gpu_utilization_ratio", true},
		{policy.Sample{Value: 7, OK: true, Time: now}, "vllm:num_requests_running", false},
	} {
		sample, metric := read.Signals[i].Pod("ml", "a")
		if sample != want.sample || metric != want.metric || read.FromAgent(i, "ml", "a") != want.agent {
			t.Errorf("%s: %+v of %s, from an agent %t", target.Signals[i], sample, metric, read.FromAgent(i, "ml", "a"))
		}
		if sample, _ := read.Signals[i].Pod("ml", "b"); sample.OK || read.FromAgent(i, "ml", "b") {
			t.Errorf("%s: a pod that is not there has %+v", target.Signals[i], sample)
		}
	}
	asked := controller.Asked{All: 1, Asked: 1}
	if read.Pods != asked || read.Agents != asked || read.Problem != "" {
		t.Errorf("%+v, %+v, %q", read.Pods, read.Agents, read.Problem)
	}

	read = newDirectReader(5*time.Second, 90*time.Second, true).ReadDirect(t.Context(), now, target)
	if read.Pods.Failed != 1 || read.Agents.Failed != 1 || strings.Count(read.Problem, "loopback") != 2 {
		t.Errorf("in a cluster: %+v, %+v, %q", read.Pods, read.Agents, read.Problem)
	}
}
