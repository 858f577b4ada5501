package doctor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// annotated parses annotations that must be valid.
func annotated(t *testing.T, pairs ...string) *policy.Spec {
	t.Helper()
	a := map[string]string{policy.Prefix + "enabled": "true", policy.Prefix + "max-replicas": "8"}
	for i := 0; i < len(pairs); i += 2 {
		a[policy.Prefix+pairs[i]] = pairs[i+1]
	}
	spec, problems := policy.Parse(a, policy.Settings{MaxSampleAge: 90 * time.Second, Interval: 5 * time.Second})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &spec
}

// hour is a signal over the last hour beside a load, each minute.
func hour(value, load func(minute int) float64) []Point {
	var past []Point
	for i := range 60 {
		p := Point{Time: time.Unix(int64(i)*60, 0), Value: value(i)}
		if load != nil {
			p.Load, p.HasLoad = load(i), true
		}
		past = append(past, p)
	}
	return past
}

func always(v float64) func(int) float64 { return func(int) float64 { return v } }

// ramp rises and falls.
func ramp(i int) float64 { return 10 + float64(min(i, 60-i)) }

// healthy are facts with which nothing is wrong.
func healthy(t *testing.T) *Facts {
	return &Facts{
		MaxSampleAge: 90 * time.Second,
		Cluster: ClusterFacts{
			Name: "the cluster", Scope: "all namespaces", Version: "v1.37.0", Skew: time.Second, Slack: time.Second,
			Rights: []Right{{What: "list pods", Allowed: true}, {What: "patch deployments/scale", Write: true, Allowed: true}},
		},
		Prometheus: PrometheusFacts{
			Name: "http://p", Version: "3.16.0", Slack: time.Second, Cadence: metrics.Cadence{Scrape: 5 * time.Second, Change: 5 * time.Second},
		},
		Signals: []SignalFacts{{Signal: policy.GPUUtilization, Census: metrics.Census{Present: []metrics.Presence{{Source: "DCGM_FI_DEV_GPU_UTIL", Series: 8}}}}},
		Workloads: []WorkloadFacts{{
			NamespacedName: types.NamespacedName{Namespace: "ml", Name: "llm"},
			Spec:           annotated(t, "target.gpu-utilization", "50"), OptedIn: true, PodsKnown: true,
			Replicas: 2, Pods: 2, Ready: 2, Placed: 2, Free: 10, GPURequests: map[string]int64{"nvidia.com/gpu": 1},
			Readings: []ReadingFacts{{
				Signal: policy.GPUUtilization, Sampled: 2, Value: 50, Sources: []string{"DCGM_FI_DEV_GPU_UTIL"}, Oldest: 7 * time.Second, Dated: true,
				Past: hour(ramp, ramp), Load: policy.RequestsPerSecond,
			}},
		}},
	}
}

// TestHealthy finds nothing wrong where nothing is.
func TestHealthy(t *testing.T) {
	report := Judge(healthy(t))
	for _, f := range report.Findings {
		if f.Severity != OK {
			t.Errorf("got %+v", f)
		}
	}
	if len(report.Findings) != 14 {
		t.Errorf("%d findings, want 14: %+v", len(report.Findings), report.Findings)
	}
}

// wrong is something that is wrong, and what is to be said about it.
type wrong struct {
	name   string
	change func(f *Facts, w *WorkloadFacts, r *ReadingFacts, s *SignalFacts)
	want   string // SEVERITY CHECK
	words  string
}

var wrongs = []wrong{
	{"a right that is vital", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Cluster.Rights[0].Allowed, f.Cluster.Rights[0].Vital = false, true
	}, "error read-rights", "you may not list pods"},
	{"a right that helps", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Cluster.Rights[0].Allowed = false }, "warning read-rights", "deploy/rbac/viewer"},
	{"a person does not write", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Cluster.Rights[1].Allowed = false }, "info write-rights", "--as"},
	{"the controller cannot write", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Cluster.Rights[1].Allowed, f.Cluster.Rights[1].Vital, f.Cluster.Writes = false, true, true
	}, "error write-rights", "kubectl apply -k deploy/rbac"},
	{"the controller cannot tell", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Cluster.Rights[1].Allowed, f.Cluster.Writes = false, true
	}, "warning write-rights", "kubectl apply -k deploy/rbac"},
	{"rights unknown", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Cluster.RightsErr = errors.New("no\nanswer")
	}, "info not-checked", "no answer"},
	{"the API server's clock", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Cluster.Skew = -time.Minute }, "warning api-clock", "1m0s behind ours"},
	{"Prometheus' clock", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.Skew = 10 * time.Second
	}, "warning prometheus-clock", "10s ahead of ours"},
	{"something unread", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Unread = []Unread{{"Nodes", "room", errors.New("forbidden")}}
	}, "info not-checked", "Nodes could not be read: forbidden -> not checked: room"},
	{"nobody", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Workloads = nil }, "warning targets", "no Deployment in all namespaces"},
	{"Prometheus down", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.Err = errors.New("refused")
	}, "error prometheus", "refused"},
	{"no Prometheus", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Prometheus.None = true }, "info prometheus", "only pods and NVML agents are read"},
	{"no Prometheus and no agent", func(f *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.None, r.Sampled = true, 0
	}, "error samples", "0 of 2 ready pods have samples -> install the NVML agent"},
	{"no Prometheus and no scrape", func(f *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.None, r.Sampled, r.Signal = true, 0, policy.QueueDepth
	}, "error samples", "say where the pods serve their metrics with gpuscaler.io/scrape"},
	{"no Prometheus and the wrong page", func(f *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.None, r.Sampled, r.Signal, w.Spec.Scrape.Port = true, 0, policy.QueueDepth, 8000
	}, "error samples", "look at their page for one of vllm:num_requests_waiting"},
	{"no Prometheus and a rate", func(f *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.None, r.Sampled, r.Signal, w.Direct = true, 0, policy.TokensPerSecond, &DirectFacts{}
	}, "info not-checked", "one look"},
	{"no Prometheus and a query", func(f *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.None, r.Custom = true, "q"
	}, "error query", "needs Prometheus"},
	{"pods that refuse", func(f *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Cluster.Writes, w.Spec.Scrape = true, policy.Scrape{Port: 8000, Path: "/metrics"}
		w.Direct = &DirectFacts{Pods: controller.Asked{All: 2, Asked: 2, Failed: 1}, Problem: "refused"}
	}, "warning scrape", "1 of 2 pods did not answer at 8000/metrics: refused -> look at the pods, and whether a NetworkPolicy"},
	{"pods out of reach", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Spec.Scrape = policy.Scrape{Port: 8000, Path: "/metrics"}
		w.Direct = &DirectFacts{Pods: controller.Asked{All: 2, Asked: 2, Failed: 2}, Problem: "timeout"}
	}, "info scrape", "from outside of the cluster"},
	{"pods that answer", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Spec.Scrape = policy.Scrape{Port: 8000, Path: "/metrics"}
		w.Direct = &DirectFacts{Pods: controller.Asked{All: 2, Asked: 2}, Agents: controller.Asked{All: 1, Asked: 1}}
	}, "ok scrape", "2 pods asked at 8000/metrics, all answered"},
	{"agents that refuse", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Direct = &DirectFacts{Agents: controller.Asked{All: 2, Asked: 2, Failed: 1}, Problem: "refused"}
	}, "info nvml-agents", "1 of 2 agents did not answer: refused"},
	{"agents that refuse the controller", func(f *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Cluster.Writes, w.Direct = true, &DirectFacts{Agents: controller.Asked{All: 2, Asked: 2, Failed: 1}, Problem: "refused"}
	}, "warning nvml-agents", "1 of 2 agents did not answer: refused -> look at the pods, and whether a NetworkPolicy"},
	{"agents on all nodes", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Agents, f.GPUNodes = 2, 2 }, "ok nvml-agents", "there are 2, on 2 nodes with GPUs"},
	{"a node without agent", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Agents, f.GPUNodes = 1, 2 }, "info nvml-agents", "there are 1, and 2 nodes with GPUs"},
	{"no version", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { f.Prometheus.Version = "" }, "ok prometheus", "does not tell its version"},
	{"DCGM's default", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.Cadence = metrics.Cadence{Scrape: 15 * time.Second, Change: 30 * time.Second}
	}, "info dcgm-interval", "each 30s, though Prometheus scrapes each 15s -> set DCGM_EXPORTER_INTERVAL"},
	{"scraped as slowly", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.Cadence = metrics.Cadence{Scrape: 30 * time.Second, Change: 30 * time.Second}
	}, "info dcgm-interval", "scrape more often"},
	{"DCGM too young", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.Cadence = metrics.Cadence{}
	}, "info dcgm-interval", "invisible to Prometheus"},
	{"DCGM unknown", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.CadenceErr = errors.New("timeout")
	}, "info not-checked", "DCGM's interval"},
	{"sharing unknown", func(f *Facts, _ *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		f.Prometheus.GPUPodsErr = errors.New("timeout")
	}, "info not-checked", "share GPUs"},
	{"a signal that is refused", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) {
		s.Err = errors.New("too many samples")
	}, "error series", "too many samples"},
	{"no series of DCGM", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) { s.Census = metrics.Census{} }, "error series", "DCGM_FI_PROF_GR_ENGINE_ACTIVE, gpuscaler_nvml_gpu_utilization_ratio, nv_gpu_utilization -> install dcgm-exporter"},
	{"no series of an engine", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) {
		s.Signal, s.Census = policy.QueueDepth, metrics.Census{}
	}, "error series", "PodMonitor"},
	{"no labels", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) { s.Census.Present[0].Unnamed = 8 }, "error labels", "none of its 8 series names a namespace and a pod -> run dcgm-exporter with DCGM_EXPORTER_KUBERNETES=true"},
	{"free GPUs", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) { s.Census.Present[0].Unnamed = 6 }, "info labels", "6 of 8 series"},
	{"pods that are gone", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) {
		s.Strangers = map[string]int{"ml": 3}
	}, "info labels", "3 pods of namespace ml"},
	{"blanks", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) {
		s.Dropped = []metrics.Drop{{Why: metrics.NoIdentity, Count: 9}, {Why: metrics.OutOfRange, Count: 2}}
	}, "warning values", "2 samples dropped: out-of-range"},
	{"no history", func(_ *Facts, _ *WorkloadFacts, _ *ReadingFacts, s *SignalFacts) { s.HistoryErr = errors.New("limit") }, "info not-checked", "limit"},
	{"annotations", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Spec, w.Problems = nil, policy.Problems{{Key: "gpuscaler.io/max-replicas", Value: "x", Message: "is no number"}}
	}, "error annotations", `gpuscaler.io/max-replicas: "x" is no number`},
	{"not enabled", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.OptedIn = false }, "warning annotations", `gpuscaler.io/enabled: "true"`},
	{"disabled", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.OptedIn, w.Refused = false, true }, "info annotations", `is "false"`},
	{"paused", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.Spec.Paused = policy.Up }, "info annotations", "paused"},
	{"dry run", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.Spec.DryRun = true }, "info annotations", "dry-run"},
	{"raises only", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Spec.Targets = []policy.Target{{Signal: policy.GPUMemory, Value: 80}}
	}, "warning annotations", "nothing else here lowers"},
	{"raises only beside another", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Spec.Targets = append(w.Spec.Targets, policy.Target{Signal: policy.GPUMemory, Value: 80})
	}, "info annotations", "only raises"},
	{"an HPA", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Rival = "HorizontalPodAutoscaler ml/llm"
	}, "error other-autoscalers", "HorizontalPodAutoscaler ml/llm"},
	{"GitOps resets", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.SetsReplicas, w.GitOps = "argocd-controller", "Argo CD"
	}, "warning replicas-owner", "Argo CD manages the Deployment: each apply resets what was scaled -> take spec.replicas out of the manifest, or list /spec/replicas under ignoreDifferences"},
	{"GitOps does not", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.GitOps = "Flux (HelmRelease llm)" }, "ok replicas-owner", "leaves spec.replicas alone"},
	{"too few GPUs", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.Free = 3 }, "warning gpus", "max-replicas is 8, but 2 placed pods and room for 3 more make 5 (1 nvidia.com/gpu each)"},
	{"no GPUs at all", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Unknown = "no node offers nvidia.com/gpu"
	}, "warning gpus", "no node offers"},
	{"room unknown", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Unknown = "its pods must be spread"
	}, "info gpus", "must be spread"},
	{"no GPU requested", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.GPURequests = nil }, "info gpus", "request no GPU"},
	{"a quota", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) {
		w.Quotas = []string{"ResourceQuota q"}
	}, "warning quota", "ResourceQuota q"},
	{"a limit range", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.Ranges = []string{"LimitRange r"} }, "error limit-range", "LimitRange r"},
	{"nothing ready", func(_ *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { w.Ready, r.Sampled = 0, 0 }, "info samples", "no pod is ready"},
	{"some samples", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Sampled = 1 }, "warning samples", "1 of 2 ready pods have samples from DCGM_FI_DEV_GPU_UTIL"},
	{"no samples, elsewhere", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Sampled = 0 }, "error samples", "name other namespaces or pods"},
	{"no samples, other pods", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, s *SignalFacts) {
		r.Sampled, s.Strangers = 0, map[string]int{"ml": 1}
	}, "error samples", "series of namespace ml name pods that are not there"},
	{"no samples, no labels", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, s *SignalFacts) {
		r.Sampled, s.Census.Present[0].Unnamed = 0, 8
	}, "error samples", "DCGM_EXPORTER_KUBERNETES"},
	{"no samples, no series", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, s *SignalFacts) {
		r.Sampled, s.Census = 0, metrics.Census{}
	}, "error samples", "install dcgm-exporter"},
	{"no samples, too old", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Sampled, r.Late = 0, 2 }, "error samples", "too old"},
	{"no samples, MIG", func(_ *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Sampled, w.MIG = 0, true }, "error samples", "export DCGM_FI_PROF_GR_ENGINE_ACTIVE"},
	{"MIG", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.MIGPods = 1 }, "info mig", "DCGM_FI_DEV_GPU_UTIL does not exist"},
	{"late samples", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Late, r.Oldest = 1, 2*time.Minute }, "warning sample-age", "the samples of 1 pod are older than --max-sample-age 1m30s and count as missing; the oldest is 2m0s old"},
	{"nearly late", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Oldest = time.Minute }, "warning sample-age", "scrape more often"},
	{"time slicing", func(_ *Facts, w *WorkloadFacts, _ *ReadingFacts, _ *SignalFacts) { w.Shared, w.Sharers = 2, 4 }, "warning shared-gpus", "2 of its pods share a GPU with others, up to 4 pods on one"},
	{"time slicing, an engine's signal", func(_ *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		w.Shared, w.Sharers, r.Signal = 1, 4, policy.RunningRequests
	}, "info shared-gpus", "1 of its pods shares"},
	{"pinned", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Past = hour(always(100), ramp) }, "warning flat-signal", "at 100 to 100 percent all through the last 59m0s"},
	{"preallocated", func(_ *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		r.Signal, r.Past = policy.GPUMemory, hour(always(92), nil)
		w.Spec.Targets[0].Signal = policy.GPUMemory
	}, "warning flat-signal", "stayed at 92 percent"},
	{"preallocated beside another", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		r.Signal, r.Past = policy.GPUMemory, hour(always(92), nil)
	}, "info flat-signal", "stayed at 92 percent"},
	{"stuck", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		r.Signal, r.Past = policy.RunningRequests, hour(always(7), ramp)
	}, "warning follows-load", "stayed at 7 for the last 59m0s, while requests-per-second per pod went from 10 to 40"},
	{"the wrong way", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		r.Past = hour(func(i int) float64 { return 90 - ramp(i) }, ramp)
	}, "warning follows-load", "correlation -1.00 over 60 minutes"},
	{"a query that fails", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		r.Custom, r.Err = "q", errors.New("two series")
	}, "error query", "two series"},
	{"a query without samples", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Custom, r.Sampled = "q", 0 }, "error query", "no sample for any of the 2 ready pods"},
	{"a query with some", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Custom, r.Sampled = "q", 1 }, "warning query", "1 of 2 ready pods"},
	{"a query of the workload", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Custom, r.Workload = "q", true }, "ok query", "answers 50"},
	{"a query of the pods", func(_ *Facts, _ *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) { r.Custom = "q" }, "ok query", "2 of 2 ready pods have samples"},
	{"a query of nobody", func(_ *Facts, w *WorkloadFacts, r *ReadingFacts, _ *SignalFacts) {
		r.Custom, r.Sampled, w.Ready = "q", 0, 0
	}, "info query", "no pod is ready"},
}

// TestWrong says about each thing that is wrong that it is, how badly, and what to do.
func TestWrong(t *testing.T) {
	for _, c := range wrongs {
		facts := healthy(t)
		w := &facts.Workloads[0]
		c.change(facts, w, &w.Readings[0], &facts.Signals[0])
		report := Judge(facts)
		found := false
		for _, f := range report.Findings {
			found = found || fmt.Sprintf("%s %s", f.Severity, f.Check) == c.want && strings.Contains(f.Message+" -> "+f.Advice, c.words)
		}
		if !found {
			t.Errorf("%s: want %s with %q, got %+v", c.name, c.want, c.words, report.Findings)
		}
	}
}

// TestNothingToTell says nothing of a past that tells nothing: too short, without load, or idle.
func TestNothingToTell(t *testing.T) {
	for name, past := range map[string][]Point{
		"short": hour(always(100), ramp)[:10], "no load": hour(ramp, nil), "steady load": hour(ramp, always(5)), "idle": hour(always(0), ramp),
		"no requests": hour(ramp, always(0)),
	} {
		facts := healthy(t)
		facts.Workloads[0].Readings[0].Past = past
		report := Judge(facts)
		for _, f := range report.Findings {
			if f.Check == FlatSignal || f.Check == FollowsLoad {
				t.Errorf("%s: got %+v", name, f)
			}
		}
	}
}
