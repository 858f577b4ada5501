package faults

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofLaptops are the faults of a person who looks at a cluster before trusting the program with it.
var ofLaptops = []row{
	{
		number: 38, fault: "run --dry-run and plan on a laptop, with the right to read only",
		promise: "they say which context and cluster they look at and what they would do, and the API server's audit log has no request that changes anything",
		guard: &mutant.Mutation{Name: "a dry run writes", Edits: []mutant.Edit{{
			File: "controller/controller.go", Old: "	if o.DryRun {\n", New: "	if o.DryRun && mutant != N {\n",
		}}},
		play: readsOnly,
	},
	{
		number: 38, fault: "run --dry-run and plan with credentials that have expired",
		promise: "they end, name the context and say what to do",
		guard: &mutant.Mutation{Name: "credentials that are not valid are tried for ever", Edits: []mutant.Edit{{
			File: "cmd/gpuscaler/connect.go", Old: "	if err := try(ctx); err != nil {", New: "	if err := try(ctx); err != nil && mutant != N {",
		}}},
		play: expired,
	},
	{
		number: 38, fault: "run --dry-run and plan with the wrong context: a cluster that does not answer, or a name that is not there",
		promise: "they end and name the context, the cluster and its address",
		guard: &mutant.Mutation{Name: "a cluster is named by its address alone", Edits: []mutant.Edit{{
			File: "cmd/gpuscaler/kube.go", Old: "	case c.context == \"\":\n", New: "	case c.context == \"\" || mutant == N:\n",
		}}},
		play: wrongContext,
	},
}

// viewer is a person of this row's own who may read what the viewer role allows.
func viewer(w *world, name string) {
	w.Helper()
	_, err := stage.Cluster.Client().RbacV1().ClusterRoleBindings().Create(w.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "gpuscaler-viewer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
}

// Prometheus is named, reached through the API server's service proxy, or found there.
func readsOnly(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "laptop")
	err := stage.Cluster.Expose(w.Context(), bed.Service{Namespace: ns + "-monitoring", Name: "prometheus", Port: 9090, PortName: "web", Addr: p.Addr()})
	if err != nil {
		w.Fatal(err)
	}
	viewer(w, ns)
	kubeconfig, err := stage.Cluster.UserKubeconfig(ns, nil)
	if err != nil {
		w.Fatal(err)
	}
	d := stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(), stage.NewLoad(200))
	stage.Sampled(w, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} >= 100)`, 2)
	for _, url := range []string{p.URL(), "kube://" + ns + "-monitoring/prometheus:9090/"} {
		dry := w.run(kubeconfig, "run", "--dry-run", "--interval", "1s", "-n", ns, "--watch-namespace", ns, "--prometheus-url", url)
		bed.WaitFor(w, 20*time.Second, "a plan to raise", func() error {
			stdout, stderr, code := stage.CommandOf(w, w.program, "plan", "deployment/vision", "-n", ns, "-o", "json", "--prometheus-url", url, "--kubeconfig", kubeconfig)
			var plan struct{ Workloads []stage.Workload }
			if err := json.Unmarshal([]byte(stdout), &plan); err != nil || code != 0 || len(plan.Workloads) != 1 {
				w.Fatalf("plan: code %d, %v\n%s\n%s", code, err, stdout, stderr)
			}
			return bed.Want("plan", fmt.Sprint(plan.Workloads[0].Current, " to ", plan.Workloads[0].Desired), "2 to 4")
		})
		bed.WaitFor(w, 20*time.Second, "the dry run's decision", func() error {
			seen, err := dry.Workload(ns, "vision")
			if err != nil {
				return err
			}
			return bed.Want("desired", seen.Desired, 4)
		})
		bed.WaitFor(w, 10*time.Second, "the table", func() error {
			out := dry.Output()
			return bed.Want("names the context, the server and the workload", strings.Contains(out, "context bed, cluster bed, at https://127.0.0.1") && strings.Contains(out, "vision"), true)
		})
		d.HoldsReplicas(2, 2*time.Second)
	}
	events, err := stage.Cluster.AuditMutations(ns)
	if err != nil {
		w.Fatal(err)
	}
	if len(events) != 0 {
		w.Errorf("requests that would change something: %v", events)
	}
}

// refuses wants run --dry-run and plan to end by themselves with exit code 1 and these words.
func refuses(w *world, kubeconfig string, words []string, args ...string) {
	w.Helper()
	for _, command := range [][]string{{"run", "--dry-run", "--listen", ""}, {"plan"}} {
		command = append(append(command, args...), "-n", "default", "--prometheus-url", "http://127.0.0.1:1", "--kubeconfig", kubeconfig)
		stdout, stderr, code := stage.CommandOf(w, w.program, command...)
		if code != 1 {
			w.Errorf("%q: exit code %d, want 1", command, code)
		}
		for _, word := range words {
			if !strings.Contains(stderr, word) {
				w.Errorf("%q does not say %q:\n%s%s", command, word, stdout, stderr)
			}
		}
	}
}

func expired(w *world) {
	config, err := stage.Cluster.ExpiredConfig("late", nil)
	if err != nil {
		w.Fatal(err)
	}
	kubeconfig := filepath.Join(w.TempDir(), "kubeconfig")
	if err := bed.WriteKubeconfig(kubeconfig, config); err != nil {
		w.Fatal(err)
	}
	refuses(w, kubeconfig, []string{"context bed, cluster bed", "not valid (any more)", "log in again"})
}

func wrongContext(w *world) {
	kubeconfig := filepath.Join(w.TempDir(), "kubeconfig")
	if err := stage.Cluster.Kubeconfig(kubeconfig); err != nil {
		w.Fatal(err)
	}
	file, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		w.Fatal(err)
	}
	file.Clusters["staging"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	file.Contexts["yesterday"] = &clientcmdapi.Context{Cluster: "staging", AuthInfo: "bed"}
	file.CurrentContext = "yesterday"
	if err := clientcmd.WriteToFile(*file, kubeconfig); err != nil {
		w.Fatal(err)
	}
	refuses(w, kubeconfig, []string{"context yesterday, cluster staging, at https://127.0.0.1:1", "--context"})
	refuses(w, kubeconfig, []string{"tomorrow", "kubectl config get-contexts"}, "--context", "tomorrow")
}
