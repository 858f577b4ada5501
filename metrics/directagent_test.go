package metrics

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// serveAgent serves a page as an agent and counts who asks.
func serveAgent(t *testing.T, page http.Handler) (netip.AddrPort, *asked) {
	t.Helper()
	who := &asked{}
	server := httptest.NewServer(who.handler(0, page))
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(strings.TrimPrefix(server.URL, "http://")), who
}

func agentTarget(agent netip.AddrPort, workload string, pods ...string) DirectTarget {
	target := DirectTarget{Namespace: "ml", Workload: workload, Signals: []policy.Signal{policy.GPUUtilization, policy.GPUMemory}}
	for _, pod := range pods {
		target.Pods = append(target.Pods, DirectPod{Name: pod, Agent: agent})
	}
	return target
}

// device writes what the agent says of one GPU.
func device(uuid, namespace, pod string, ratio, used, total, age float64) string {
	labels := fmt.Sprintf(`uuid=%q,index="0",model="H100",mig_profile="",namespace=%q,pod=%q,container="c"`, uuid, namespace, pod)
	var b strings.Builder
	for i, window := range []string{"1s", "5s", "15s"} {
		fmt.Fprintf(&b, "gpuscaler_nvml_gpu_utilization_ratio{%s,window=%q} %v\n", labels, window, ratio+float64(i)/100)
		fmt.Fprintf(&b, "gpuscaler_nvml_memory_used_bytes{%s,window=%q} %v\n", labels, window, used)
	}
	fmt.Fprintf(&b, "gpuscaler_nvml_memory_total_bytes{%s} %v\n", labels, total)
	fmt.Fprintf(&b, "gpuscaler_nvml_sample_timestamp_seconds{%s} %v\n", labels, agentClock-age)
	return b.String()
}

// agentClock is the agent's time, far from this process's.
const agentClock = 5e8

var agentAlive = fmt.Sprintf("# TYPE gpuscaler_nvml_up gauge\ngpuscaler_nvml_up 1\ngpuscaler_nvml_time_seconds %v\n", agentClock)

const (
	agentUtil = "gpuscaler_nvml_gpu_utilization_ratio"
	agentUsed = "gpuscaler_nvml_memory_used_bytes"
)

// TestAgentPods: whose GPU is whose, means over GPUs, and ages by the agent's own clock.
func TestAgentPods(t *testing.T) {
	page := agentAlive +
		device("GPU-1", "ml", "two", 0.20, 10, 100, 1) + device("GPU-2", "ml", "two", 0.60, 30, 100, 3) +
		device("GPU-3", "ml", "one", 0.90, 50, 100, 0) +
		device("GPU-4", "", "", 1, 100, 100, 0) + // nobody's, or shared
		device("GPU-5", "other", "one", 1, 100, 100, 0) + // another namespace's
		device("GPU-6", "ml", "stranger", 1, 100, 100, 0) + // another target's
		device("GPU-7", "ml", "late", 0.5, 50, 100, 91) +
		strings.Replace(device("GPU-13", "ml", "ancient", 0.5, 50, 100, 0), "5e+08", "-Inf", 1) +
		device("GPU-8", "ml", "early", 0.5, 50, 100, -5) +
		device("GPU-9", "ml", "ahead", 0.5, 50, 100, -0.4) +
		device("GPU-10", "ml", "half", 0.5, 50, 100, 0) + device("GPU-11", "ml", "half", 42, 50, 100, 0) +
		`gpuscaler_nvml_gpu_utilization_ratio{uuid="GPU-12",namespace="ml",pod="ageless",window="5s"} 0.5` + "\n"
	agent, _ := serveAgent(t, newBook(page))
	d := NewDirect(DirectOptions{Interval: 5 * time.Second})
	r := d.Read(context.Background(), at(0), agentTarget(agent, "a", "two", "one", "late", "ancient", "early", "ahead", "half", "ageless", "unknown"))
	if r.AgentProblem != "" || r.Agents != 1 || r.AgentsFailed != 0 || r.Sampled != 0 || r.Pods != 9 {
		t.Errorf("%+v", r)
	}
	wantTold(t, r.Results[0], map[string]string{"two": "41 " + agentUtil, "one": "91 " + agentUtil, "ahead": "51 " + agentUtil})
	wantTold(t, r.Results[1], map[string]string{"two": "20 " + agentUsed, "one": "50 " + agentUsed, "ahead": "50 " + agentUsed, "half": "50 " + agentUsed})
	for pod, age := range map[string]int{"two": 3, "one": 0, "ahead": 0} {
		if reading, _ := r.Results[0].Samples.Get("ml", pod); !reading.Time.Equal(at(-age)) {
			t.Errorf("%s is of %v, want an age of %d s", pod, reading.Time, age)
		}
	}
	if fmt.Sprint(r.Results[0].Dropped) != "[{out-of-range 1}]" {
		t.Errorf("dropped %v", r.Results[0].Dropped)
	}
}

// TestAgentWindow: the smallest mean that leaves no time between two ticks out. If it is not there, nothing is.
func TestAgentWindow(t *testing.T) {
	agent, _ := serveAgent(t, newBook(agentAlive+device("GPU-1", "ml", "a", 0.5, 1, 2, 0)))
	for interval, want := range map[time.Duration]string{
		500 * time.Millisecond: "50 ", time.Second: "50 ", 2 * time.Second: "51 ", 5 * time.Second: "51 ", 6 * time.Second: "52 ", time.Minute: "52 ",
	} {
		r := NewDirect(DirectOptions{Interval: interval}).Read(context.Background(), at(0), agentTarget(agent, "a", "a"))
		wantTold(t, r.Results[0], map[string]string{"a": want + agentUtil})
	}
	page := strings.ReplaceAll(agentAlive+device("GPU-1", "ml", "a", 0.5, 1, 2, 0), `window="5s"`, `window="7s"`)
	agent, _ = serveAgent(t, newBook(page))
	r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), agentTarget(agent, "a", "a"))
	wantTold(t, r.Results[0], nil)
	wantTold(t, r.Results[1], nil)
}

// TestAgentIsShared: whoever asks in a tick, an agent is read once.
func TestAgentIsShared(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		var page strings.Builder
		page.WriteString(agentAlive)
		for i := range 8 {
			page.WriteString(device(fmt.Sprintf("GPU-%d", i), "ml", fmt.Sprintf("pod-%d", i), 0.5, 1, 2, 0))
		}
		newBook(page.String()).ServeHTTP(w, r)
	})
	agent, who := serveAgent(t, slow)
	d := NewDirect(DirectOptions{})
	for tick := range 3 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				pod := fmt.Sprintf("pod-%d", i)
				r := d.Read(context.Background(), at(tick), agentTarget(agent, fmt.Sprintf("w%d", i), pod))
				if got := told(r.Results[0]); !maps.Equal(got, map[string]string{pod: "51 " + agentUtil}) || r.AgentProblem != "" {
					t.Errorf("%s: %v, %s", pod, got, r.AgentProblem)
				}
			})
		}
		wg.Wait()
		if n := who.take()[0]; n != 1 {
			t.Errorf("tick %d: asked %d times", tick, n)
		}
	}
}

// TestAgentFailures: what an agent that does not work is said to do, to all that have pods on its node, and nothing is a reading.
func TestAgentFailures(t *testing.T) {
	ok := device("GPU-1", "ml", "a", 0.5, 1, 2, 0)
	tests := map[string]struct {
		page http.Handler
		want string
	}{
		"without NVML":      {newBook(strings.Replace(agentAlive, "up 1", "up 0", 1) + ok), "it cannot use NVML (gpuscaler_nvml_up is 0); see its log"},
		"without a clock":   {newBook("gpuscaler_nvml_up 1\n" + ok), "its page is not that of an NVML agent"},
		"another exporter":  {newBook("DCGM_FI_DEV_GPU_UTIL 1\n"), "its page is not that of an NVML agent"},
		"not found":         {http.NotFoundHandler(), "HTTP 404 Not Found; check what listens there: gpuscaler's nvml-agent does on port 9401"},
		"broken":            {newBook("gpuscaler_nvml_up\n"), "value"},
		"a page breaks off": {newBook(agentAlive + ok + "gpuscaler_nvml_up"), "ends in the middle"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			agent, who := serveAgent(t, tt.page)
			d := NewDirect(DirectOptions{})
			for _, workload := range []string{"a", "b"} {
				r := d.Read(context.Background(), at(0), agentTarget(agent, workload, "a"))
				if r.Agents != 1 || r.AgentsFailed != 1 || r.Results[0].Samples.Len() != 0 || r.Problem != "" {
					t.Errorf("%+v", r)
				}
				if want := "1 of 1 NVML agents could not be read: the agent at " + agent.String() + ": "; !strings.HasPrefix(r.AgentProblem, want) || !strings.Contains(r.AgentProblem, tt.want) {
					t.Errorf("problem %q, want %q", r.AgentProblem, tt.want)
				}
			}
			if n := who.take()[0]; n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestAgentRecovers: an agent that fails is on probation like a pod, says nothing meanwhile, and is believed again once it answers.
func TestAgentRecovers(t *testing.T) {
	page := newBook(agentAlive + device("GPU-1", "ml", "a", 0.5, 1, 2, 0))
	agent, who := serveAgent(t, page)
	d := NewDirect(DirectOptions{})
	var seconds []int
	for second := range 12 {
		switch second {
		case 1:
			page.write("broken")
		case 7:
			page.write(agentAlive + device("GPU-1", "ml", "a", 0.5, 1, 2, 0))
		}
		r := d.Read(context.Background(), at(second), agentTarget(agent, "a", "a"))
		if len(who.take()) > 0 {
			seconds = append(seconds, second)
		}
		if good := second < 1 || second >= 8; good != (r.Results[0].Samples.Len() == 1) || good != (r.AgentsFailed == 0) {
			t.Errorf("at %d s %+v", second, r)
		}
	}
	if want := []int{0, 1, 2, 4, 8, 9, 10, 11}; !slices.Equal(seconds, want) {
		t.Errorf("asked at %v, want %v", seconds, want)
	}
}

// TestAgentAndPod: both have the signal. The earlier source in the table, the agent, answers if its sample is valid, else the pod.
func TestAgentAndPod(t *testing.T) {
	p := newPods(t, 1, func(int) http.Handler { return newBook("nv_gpu_utilization{gpu_uuid=\"GPU-1\"} 0.3\n") })
	page := newBook("")
	agent, _ := serveAgent(t, page)
	p.list[0].Agent = agent
	d := NewDirect(DirectOptions{})
	for second, step := range []struct {
		ratio float64
		want  string
		from  Origin
	}{
		{0.5, "51 " + agentUtil, OriginAgent},
		{42, "30 nv_gpu_utilization", OriginPods},
		{-1, "30 nv_gpu_utilization", OriginPods},
		{0.6, "61 " + agentUtil, OriginAgent},
	} {
		page.write(agentAlive + device("GPU-1", "ml", "p0", step.ratio, 1, 2, 0))
		r := d.Read(context.Background(), at(second), p.target(policy.GPUUtilization))
		wantTold(t, r.Results[0], map[string]string{"p0": step.want})
		if reading, _ := r.Results[0].Samples.Get("ml", "p0"); r.Results[0].From(reading) != step.from {
			t.Errorf("%v is from %s", reading, r.Results[0].From(reading))
		}
	}
}

// TestAgentsAreLeftAlone where no signal is read from them.
func TestAgentsAreLeftAlone(t *testing.T) {
	agent, who := serveAgent(t, newBook(agentAlive))
	target := agentTarget(agent, "a", "a")
	target.Signals = []policy.Signal{policy.QueueDepth}
	if r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), target); r.Agents != 0 || len(who.take()) > 0 {
		t.Errorf("%+v", r)
	}
}
