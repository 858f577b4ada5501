package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
)

// What is installed works without a Prometheus: the program, run with the arguments of the manifest under the rights of its account, is
// ready, says what to do, and keeps to the bounds. An upgrade and the end of the installation leave the replicas as they are.
func TestUpgradeAndUninstall(t *testing.T) {
	for name, c := range map[string]struct {
		home, workloads string
		told            string
	}{
		"cluster-wide":     {system, "", "name it with --prometheus-url"},
		"single-namespace": {"default", "default", "none: --prometheus-url is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			b := control(t)
			all := overlay(t, name)
			install(t, all)
			ns := c.workloads
			if ns == "" {
				var err error
				if ns, err = b.Namespace(t.Context(), "prod"); err != nil {
					t.Fatal(err)
				}
			}
			target := optIn(t, ns)
			pod := container(t, all)
			first := run(t, c.home, pod.Args)
			bed.WaitFor(t, 30*time.Second, "the lower bound", target.wantReplicas(3))
			bed.WaitFor(t, 10*time.Second, "a word about Prometheus", func() error {
				return bed.Want("told", strings.Contains(first.Output(), c.told), true)
			})
			if out := first.Output(); name == "cluster-wide" && strings.Contains(out, "forbidden") {
				t.Errorf("a right is missing:\n%s", out)
			}
			requested := pod.Resources.Requests.Memory().Value()
			if used := first.Resident(t); used > requested {
				t.Errorf("a small cluster takes %d MiB, and %d are requested", used>>20, requested>>20)
			}
			target.scale(t, 5) // by a person, as long as that is respected

			second := run(t, c.home, pod.Args)
			first.Stop(t)
			bed.Holds(t, 3*time.Second, "5 replicas during the upgrade", target.wantReplicas(5))
			uninstall(t, all)
			bed.Holds(t, 3*time.Second, "5 replicas without rights", target.wantReplicas(5))
			second.Stop(t)
			bed.Holds(t, time.Second, "5 replicas after the end", target.wantReplicas(5))
			if d := target.get(t); len(d.OwnerReferences)+len(d.Finalizers) > 0 {
				t.Errorf("the Deployment is tied to %v, %v", d.OwnerReferences, d.Finalizers)
			}
		})
	}
}

// container is the controller's.
func container(t *testing.T, all objects) corev1.Container {
	t.Helper()
	for _, o := range all {
		if o.GetKind() == "Deployment" {
			c := typed[appsv1.Deployment](t, o).Spec.Template.Spec.Containers[0]
			for i, arg := range c.Args {
				c.Args[i] = strings.ReplaceAll(arg, "$(POD_NAMESPACE)", o.GetNamespace())
			}
			return c
		}
	}
	t.Fatal("there is no Deployment")
	return corev1.Container{}
}

// workload is a Deployment that opted in.
type workload struct{ namespace, name string }

// optIn creates a Deployment of one replica that wants three at least.
func optIn(t *testing.T, namespace string) workload {
	t.Helper()
	w := workload{namespace, "llm"}
	labels := map[string]string{"app": w.name}
	deployments := control(t).Client().AppsV1().Deployments(namespace)
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: w.name, Annotations: map[string]string{
			"gpuscaler.io/enabled": "true", "gpuscaler.io/target.gpu-utilization": "70",
			"gpuscaler.io/min-replicas": "3", "gpuscaler.io/max-replicas": "6",
		}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "example.com/llm:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = deployments.Delete(context.Background(), w.name, metav1.DeleteOptions{}) })
	return w
}

func (w workload) get(t *testing.T) *appsv1.Deployment {
	t.Helper()
	d, err := control(t).Client().AppsV1().Deployments(w.namespace).Get(t.Context(), w.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w workload) wantReplicas(n int32) func() error {
	return func() error {
		d, err := shared.Client().AppsV1().Deployments(w.namespace).Get(context.Background(), w.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return bed.Want("replicas", *d.Spec.Replicas, n)
	}
}

// scale does what kubectl scale does.
func (w workload) scale(t *testing.T, n int32) {
	t.Helper()
	deployments := control(t).Client().AppsV1().Deployments(w.namespace)
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)
	_, err := deployments.Patch(t.Context(), w.name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl"}, "scale")
	if err != nil {
		t.Fatal(err)
	}
}

// program builds the program once.
var program = sync.OnceValues(func() (string, error) {
	return gpuscaler.Build(context.Background(), "../..", shared.Dir())
})

// run runs the program as a pod would and waits until it is ready. That it is in no pod has to be made up for: by a kubeconfig of its
// account, leader election, and an address that is free.
func run(t *testing.T, namespace string, args []string) *gpuscaler.Process {
	t.Helper()
	config, err := control(t).CreateServiceAccountKubeconfig(t.Context(), namespace, account)
	if err != nil {
		t.Fatal(err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	listen := gpuscaler.FreeAddress(t)
	args = append(args, "--kubeconfig", config, "--listen", listen, "--leader-elect", "--leader-elect-resource-namespace", namespace)
	p := gpuscaler.Run(t, path, args...)
	bed.WaitFor(t, 30*time.Second, "the program to be ready", func() error { return answers("http://" + listen + "/readyz") })
	return p
}

// answers returns nil if a page answers 200.
func answers(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}
