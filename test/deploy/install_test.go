package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// The names of what is installed by default.
const (
	system  = "gpuscaler-system"
	account = "gpuscaler"
	agents  = "gpuscaler-nvml-agent" // the agents' namespace, and their account in it
)

// install applies objects, as kubectl apply does, and deletes them when the test ends.
func install(t *testing.T, all objects) {
	t.Helper()
	var manifests bytes.Buffer
	for _, o := range all.ordered() {
		if err := json.NewEncoder(&manifests).Encode(o.Object); err != nil {
			t.Fatal(err)
		}
		manifests.WriteString("---\n")
	}
	if err := control(t).Apply(t.Context(), manifests.Bytes()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { uninstall(t, all) })
}

// uninstall deletes objects and waits until they are gone, all but namespaces: that would take ten seconds, and the next test wants
// it back.
func uninstall(t *testing.T, all objects) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	b := control(t)
	client, err := dynamic.NewForConfig(b.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(b.Client().Discovery()))
	for name, o := range all {
		if o.GetKind() == "Namespace" {
			continue
		}
		kind := o.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			t.Fatal(err)
		}
		objects := client.Resource(mapping.Resource).Namespace(o.GetNamespace())
		foreground := metav1.DeletePropagationForeground
		if err := objects.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("deleting %s: %v", name, err)
		}
		if err := bed.Until(ctx, func() (bool, error) {
			_, err := objects.Get(ctx, o.GetName(), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			return false, err
		}); err != nil {
			t.Errorf("waiting until %s is gone: %v", name, err)
		}
	}
}

// typed converts a rendered object.
func typed[T any](t *testing.T, o *unstructured.Unstructured) *T {
	t.Helper()
	if o == nil {
		t.Fatalf("there is no %T", *new(T))
	}
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, into, true); err != nil {
		t.Fatalf("%s: %v", nameOf(o), err)
	}
	return into
}

// One replica comes up, or two with a standby: the API server takes every object of every overlay and lets the pods in.
func TestPodsAreAdmitted(t *testing.T) {
	for name, want := range map[string]struct {
		namespace string
		replicas  int
	}{
		"cluster-wide":      {system, 1},
		"single-namespace":  {"default", 1},
		"high-availability": {system, 2},
		"scale-down-order":  {system, 1},
		"nvml-agent":        {system, 1},
	} {
		t.Run(name, func(t *testing.T) {
			all := overlay(t, name)
			install(t, all)
			pods := control(t).Client().CoreV1().Pods(want.namespace)
			bed.WaitFor(t, 20*time.Second, "the controller's pods", func() error {
				list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=gpuscaler"})
				if err != nil {
					return err
				}
				return bed.Want("number of pods", len(list.Items), want.replicas)
			})
		})
	}
}

// The namespace refuses every pod outside of the restricted standard, and the controller's is within: each setting that is
// taken away has it refused.
func TestRestricted(t *testing.T) {
	all := overlay(t, "cluster-wide")
	install(t, all)
	namespace := typed[corev1.Namespace](t, all["Namespace "+system])
	if got := namespace.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces %q, want restricted", got)
	}
	deployment := typed[appsv1.Deployment](t, all["Deployment "+system+"/gpuscaler"])
	for name, change := range map[string]func(*corev1.PodSpec){
		"":                     func(*corev1.PodSpec) {},
		"runAsNonRoot":         func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil },
		"runAsUser":            func(s *corev1.PodSpec) { s.SecurityContext.RunAsUser = new(int64) },
		"seccompProfile":       func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
		"privilege escalation": func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"capabilities":         func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil },
		"hostPath": func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		},
	} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "restricted-", Labels: deployment.Spec.Template.Labels},
			Spec:       *deployment.Spec.Template.Spec.DeepCopy(),
		}
		change(&pod.Spec)
		_, err := control(t).Client().CoreV1().Pods(system).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if refused := apierrors.IsForbidden(err); refused != (name != "") {
			t.Errorf("%q changed: refused is %v: %v", name, refused, err)
		}
	}
}

// The agent's pods need more of their nodes: their own namespace lets them in, and the controller's does not.
func TestAgentsAreAdmitted(t *testing.T) {
	b := control(t)
	class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "nvidia"}, Handler: "nvidia"}
	if _, err := b.Client().NodeV1().RuntimeClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	all := overlay(t, "nvml-agent")
	install(t, all)
	template := typed[appsv1.DaemonSet](t, all["DaemonSet "+agents+"/gpuscaler-nvml-agent"]).Spec.Template
	for namespace, serviceAccount := range map[string]string{system: account, agents: agents} {
		t.Run(namespace, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "agent-"}, Spec: *template.Spec.DeepCopy()}
			pod.Spec.ServiceAccountName = serviceAccount
			bed.WaitFor(t, 10*time.Second, "the namespace's standard", func() error {
				_, err := b.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if namespace == agents {
					return err
				}
				return bed.Want("refused", apierrors.IsForbidden(err) && strings.Contains(err.Error(), "violates PodSecurity"), true)
			})
		})
	}
}

// What the standard does not ask for.
func TestPodIsLockedDown(t *testing.T) {
	for _, name := range []string{"cluster-wide", "single-namespace", "high-availability", "scale-down-order", "nvml-agent"} {
		for _, o := range overlay(t, name) {
			switch o.GetKind() {
			case "ServiceAccount":
				if got := typed[corev1.ServiceAccount](t, o).AutomountServiceAccountToken; got == nil || *got {
					t.Errorf("%s: the account hands its token to every pod", name)
				}
			case "Deployment":
				spec := typed[appsv1.Deployment](t, o).Spec.Template.Spec
				if spec.HostNetwork || spec.HostPID || spec.HostIPC || len(spec.Volumes) > 0 {
					t.Errorf("%s: the pod shares something of its node", name)
				}
				lockedDown(t, name, &spec.Containers[0])
			}
		}
	}
}

// lockedDown looks at the controller's container.
func lockedDown(t *testing.T, name string, c *corev1.Container) {
	t.Helper()
	if root := c.SecurityContext.ReadOnlyRootFilesystem; root == nil || !*root {
		t.Errorf("%s: the root file system can be written", name)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s: resources are %v", name, c.Resources)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("%s: probes are %v and %v", name, c.LivenessProbe, c.ReadinessProbe)
	}
}
