package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// finding is what doctor has to say.
type finding struct{ Severity, Check, Namespace, Name, Signal, Message, Advice string }

// consult runs doctor as a person with the viewer role and wants an exit code.
func consult(t *testing.T, code int, args ...string) []finding {
	t.Helper()
	if !slices.Contains(args, "--kubeconfig") {
		args = append(args, "--kubeconfig", stage.Cluster.Viewer)
	}
	stdout, stderr, got := stage.Command(t, append([]string{"doctor", "-o", "json"}, args...)...)
	var report struct{ Findings []finding }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || got != code {
		t.Fatalf("doctor %s: code %d, want %d, %v\n%s\n%s", strings.Join(args, " "), got, code, err, stdout, stderr)
	}
	return report.Findings
}

// wantFinding wants one with a severity and a check, whose message or advice has the words.
func wantFinding(t *testing.T, list []finding, severity, check, words string) {
	t.Helper()
	for _, f := range list {
		if f.Severity == severity && f.Check == check && strings.Contains(f.Message+" -> "+f.Advice, words) {
			return
		}
	}
	t.Errorf("no %s of %s with %q among", severity, check, words)
	for _, f := range list {
		t.Logf("%+v", f)
	}
}

// doctor finds nothing wrong where nothing is, sees each signal on each pod, and sends nothing that changes anything.
func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "doctor")
	stage.Create(t, ns, "vision", 2, stage.GPUAnnotations("max-replicas", "4"), stage.NewLoad(100))
	stage.Create(t, ns, "llm", 1, requestAnnotations("target.queue-depth", "4", "max-replicas", "4"), newRequests(2))
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} >= 50)`, 2)
	stage.Sampled(t, p, `count({__name__="vllm:num_requests_running",namespace="`+ns+`"})`, 1)
	list := consult(t, 0, "-n", ns, "--prometheus-url", p.URL())
	wantFinding(t, list, "ok", "samples", "2 of 2 ready pods have samples from DCGM_FI_DEV_GPU_UTIL, 50 on average")
	wantFinding(t, list, "ok", "samples", "1 of 1 ready pod has samples from vllm:num_requests_running")
	wantFinding(t, list, "ok", "sample-age", "of 1m30s allowed")
	wantFinding(t, list, "ok", "prometheus", "version")
	wantFinding(t, list, "ok", "prometheus-clock", "agrees")
	wantFinding(t, list, "ok", "api-clock", "agrees")
	wantFinding(t, list, "ok", "read-rights", "all")
	wantFinding(t, list, "ok", "gpus", "max-replicas 4 fits")
	wantFinding(t, list, "info", "write-rights", "only a controller")
	list = consult(t, 0, "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", stage.Cluster.Config)
	wantFinding(t, list, "ok", "write-rights", "all")
}

// doctor finds each thing that is wrong, by its name.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	empty := stage.StartPrometheus(t, false)
	if err := empty.SetJobs(nil); err != nil {
		t.Fatal(err)
	}
	if err := empty.RestartEmpty(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                   string
		annotations            map[string]string
		builder                func(*fleet.DeploymentBuilder)
		prepare                func(t *testing.T, ns string)
		url                    string
		code                   int
		severity, check, words string
	}{
		{name: "prometheus down", url: "http://" + gpuscaler.FreeAddress(t), code: 1, severity: "error", check: "prometheus", words: "does not answer"},
		{name: "no series", url: empty.URL(), code: 1, severity: "error", check: "series", words: "none of its sources has a series"},
		{
			name: "no engine", annotations: requestAnnotations(), code: 1,
			severity: "error", check: "samples", words: "0 of 1 ready pod has samples",
		},
		{name: "annotation", annotations: stage.GPUAnnotations("target.gpu-utilization", "500"), code: 1, severity: "error", check: "annotations", words: "500"},
		{name: "too few GPUs", annotations: stage.GPUAnnotations("max-replicas", "500"), code: 3, severity: "warning", check: "gpus", words: "max-replicas is 500"},
		{
			name: "hpa", code: 1, severity: "error", check: "other-autoscalers", words: "HorizontalPodAutoscaler",
			prepare: func(t *testing.T, ns string) {
				hpa := stage.RivalHPA()
				hpa.Spec.ScaleTargetRef.Name = "app"
				if _, err := stage.Cluster.Client().AutoscalingV2().HorizontalPodAutoscalers(ns).Create(t.Context(), hpa, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "quota", code: 3, severity: "warning", check: "quota", words: "allows 3 requests.nvidia.com/gpu",
			prepare: func(t *testing.T, ns string) {
				quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "gpus"}, Spec: corev1.ResourceQuotaSpec{
					Hard: corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("3")},
				}}
				if _, err := stage.Cluster.Client().CoreV1().ResourceQuotas(ns).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := stage.Namespace(t, "doctor")
			builder := fleet.Deployment(ns, "app").Annotations(stage.GPUAnnotations())
			if c.annotations != nil {
				builder = fleet.Deployment(ns, "app").Annotations(c.annotations)
			}
			stage.Launch(t, builder, stage.NewLoad(50))
			if c.prepare != nil {
				c.prepare(t, ns)
			}
			url := c.url
			if url == "" {
				url = p.URL()
				stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"})`, 1)
			}
			wantFinding(t, consult(t, c.code, "-n", ns, "--prometheus-url", url), c.severity, c.check, c.words)
		})
	}
}

// doctor says which right is missing, goes on with the others, and calls what it could not look at not-checked.
func TestDoctorWithoutRights(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "doctor")
	stage.Create(t, ns, "vision", 1, stage.GPUAnnotations(), stage.NewLoad(50))
	const user = "half-blind"
	rule := func(group string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"get", "list", "watch"}}
	}
	if err := stage.Cluster.Grant(t.Context(), ns, user, rule("apps", "deployments", "replicasets")); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := stage.Cluster.UserKubeconfig(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := consult(t, 1, "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", kubeconfig)
	wantFinding(t, list, "error", "read-rights", "you may not list/watch pods in namespace "+ns)
	wantFinding(t, list, "warning", "read-rights", "you may not list/watch nodes")
	wantFinding(t, list, "info", "not-checked", "Nodes could not be read")
	wantFinding(t, list, "ok", "annotations", "valid")
}

// Of many Deployments doctor tells in one line what is the same for all. BenchmarkCommands tells how long it takes.
func TestDoctorOfAHundred(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "doctor")
	pool := "doctor-" + ns
	addNode(t, pool, "node-"+ns, 100)
	for i := range 100 {
		stage.Begin(t, fleet.Deployment(ns, fmt.Sprintf("app-%d", i)).Annotations(stage.GPUAnnotations()).Pool(pool))
	}
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"})`, 100)
	list := consult(t, 3, "-n", ns, "--prometheus-url", p.URL())
	wantFinding(t, list, "ok", "targets", "100 annotated Deployments")
}
