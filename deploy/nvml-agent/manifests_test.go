// Package nvmlagent checks the manifests beside it: that an API server would take them, that the controller finds the
// agents, and that they may do what README.md says and no more.
package nvmlagent

import (
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

// What the controller looks for, in the namespace that it is told.
const (
	namespace = "gpuscaler-nvml-agent"
	label     = "app.kubernetes.io/name"
	name      = "gpuscaler-nvml-agent"
	port      = 9401
)

// variants are the DaemonSets and what each may do beyond the others.
var variants = []struct {
	file       string
	hostPID    bool
	privileged bool
	runtime    string
	mounts     []string // of the host, by path
}{
	{"daemonset.yaml", false, false, "nvidia", []string{"/var/lib/kubelet/pod-resources"}},
	{"sharing/daemonset.yaml", true, false, "nvidia", []string{"/var/lib/kubelet/pod-resources", "/var/log/pods"}},
	{"host-driver/daemonset.yaml", false, true, "", []string{"/home/kubernetes/bin/nvidia", "/var/lib/kubelet/pod-resources"}},
}

// decode reads a manifest, refusing unknown fields.
func decode(t *testing.T, file string) runtime.Object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	object, _, err := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		t.Fatalf("decoding %s: %v", file, err)
	}
	return object
}

// agents calls a function with each DaemonSet and its container.
func agents(t *testing.T, check func(t *testing.T, n int, set *appsv1.DaemonSet, pod *corev1.PodSpec, c *corev1.Container)) {
	for n, v := range variants {
		t.Run(v.file, func(t *testing.T) {
			set, ok := decode(t, v.file).(*appsv1.DaemonSet)
			if !ok || len(set.Spec.Template.Spec.Containers) != 1 || len(set.Spec.Template.Spec.InitContainers) != 0 {
				t.Fatal("it is not a DaemonSet with one container")
			}
			check(t, n, set, &set.Spec.Template.Spec, &set.Spec.Template.Spec.Containers[0])
		})
	}
}

// TestFound wants the controller to find the agents: their namespace, label and port, which is also where they listen.
func TestFound(t *testing.T) {
	agents(t, func(t *testing.T, _ int, set *appsv1.DaemonSet, _ *corev1.PodSpec, c *corev1.Container) {
		if set.Name != name || set.Namespace != namespace || set.Spec.Template.Labels[label] != name || set.Spec.Selector.MatchLabels[label] != name {
			t.Errorf("it is %s/%s, selects %v and makes pods with %v", set.Namespace, set.Name, set.Spec.Selector.MatchLabels, set.Spec.Template.Labels)
		}
		if len(c.Ports) != 1 || c.Ports[0].ContainerPort != port || !slices.Contains(c.Args, "--listen=:9401") {
			t.Errorf("it has the ports %v and the arguments %q", c.Ports, c.Args)
		}
		for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != "/healthz" || probe.HTTPGet.Port.String() != c.Ports[0].Name {
				t.Errorf("it is probed by %v", probe)
			}
		}
	})
}

// is reports whether something is set to a value.
func is(b *bool, value bool) bool { return b != nil && *b == value }

// TestPodSecurity wants the pods to be as confined as they can be.
func TestPodSecurity(t *testing.T) {
	agents(t, func(t *testing.T, n int, _ *appsv1.DaemonSet, pod *corev1.PodSpec, _ *corev1.Container) {
		want := variants[n]
		if pod.HostPID != want.hostPID || pod.HostNetwork || pod.HostIPC || pod.ServiceAccountName != name || !is(pod.AutomountServiceAccountToken, false) {
			t.Errorf("hostPID %t, hostNetwork %t, hostIPC %t, account %q, token %v", pod.HostPID, pod.HostNetwork, pod.HostIPC, pod.ServiceAccountName, pod.AutomountServiceAccountToken)
		}
		if pod.SecurityContext == nil || pod.SecurityContext.SeccompProfile == nil || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("its security context is %+v", pod.SecurityContext)
		}
	})
}

// TestContainerSecurity wants the containers to be as confined as they can be.
func TestContainerSecurity(t *testing.T) {
	agents(t, func(t *testing.T, n int, _ *appsv1.DaemonSet, _ *corev1.PodSpec, c *corev1.Container) {
		want, s := variants[n], c.SecurityContext
		if s == nil || !is(s.ReadOnlyRootFilesystem, true) || is(s.Privileged, true) != want.privileged {
			t.Fatalf("the container's security context is %+v", s)
		}
		confined := is(s.AllowPrivilegeEscalation, false) && s.Capabilities != nil &&
			slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(s.Capabilities.Add) == 0
		if !confined && !want.privileged {
			t.Errorf("the container may gain privileges: %+v", s)
		}
	})
}

// TestMounts wants the folders of the host that README.md names, for reading only, each mounted where it is looked for.
func TestMounts(t *testing.T) {
	agents(t, func(t *testing.T, n int, _ *appsv1.DaemonSet, pod *corev1.PodSpec, c *corev1.Container) {
		var paths []string
		for _, volume := range pod.Volumes {
			if volume.HostPath == nil || volume.HostPath.Type == nil || *volume.HostPath.Type != corev1.HostPathDirectory {
				t.Errorf("the volume %s is no folder of the host", volume.Name)
				continue
			}
			paths = append(paths, volume.HostPath.Path)
			mounted := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume.Name })
			if mounted < 0 || !c.VolumeMounts[mounted].ReadOnly {
				t.Errorf("%s is not mounted for reading only", volume.HostPath.Path)
			}
		}
		slices.Sort(paths)
		if !slices.Equal(paths, variants[n].mounts) {
			t.Errorf("it mounts %q of the host, want %q", paths, variants[n].mounts)
		}
	})
}

// TestDriver wants the driver to be seen: through the container runtime, or where the library is mounted.
func TestDriver(t *testing.T) {
	agents(t, func(t *testing.T, n int, _ *appsv1.DaemonSet, pod *corev1.PodSpec, c *corev1.Container) {
		class := ""
		if pod.RuntimeClassName != nil {
			class = *pod.RuntimeClassName
		}
		env := map[string]string{}
		for _, e := range c.Env {
			env[e.Name] = e.Value
		}
		if class != variants[n].runtime {
			t.Errorf("its runtime class is %q", class)
		}
		if class != "" {
			if env["NVIDIA_VISIBLE_DEVICES"] != "all" || env["NVIDIA_DRIVER_CAPABILITIES"] != "utility" || len(env) != 2 {
				t.Errorf("the runtime is told %v", env)
			}
			return
		}
		for _, argument := range c.Args {
			library, ok := strings.CutPrefix(argument, "--nvml-library=")
			for _, mount := range c.VolumeMounts {
				if ok && strings.HasPrefix(library, mount.MountPath+"/") {
					return
				}
			}
		}
		t.Errorf("the library is not in what is mounted: %q", c.Args)
	})
}

// TestGPUNodes wants them on GPU nodes, tainted or not, and to request no GPU.
func TestGPUNodes(t *testing.T) {
	agents(t, func(t *testing.T, _ int, _ *appsv1.DaemonSet, pod *corev1.PodSpec, c *corev1.Container) {
		if pod.Affinity == nil || pod.Affinity.NodeAffinity == nil || pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
			t.Error("it would run on nodes without GPUs")
		}
		if !slices.ContainsFunc(pod.Tolerations, func(t corev1.Toleration) bool {
			return t.Key == "nvidia.com/gpu" && t.Operator == corev1.TolerationOpExists && t.Effect == ""
		}) {
			t.Errorf("it tolerates %v", pod.Tolerations)
		}
		for resource := range c.Resources.Limits {
			if strings.HasPrefix(string(resource), "nvidia.com/") {
				t.Errorf("it takes %s from the workloads", resource)
			}
		}
	})
}

func TestServiceAccount(t *testing.T) {
	account, ok := decode(t, "serviceaccount.yaml").(*corev1.ServiceAccount)
	if !ok || account.Name != name || account.Namespace != namespace || !is(account.AutomountServiceAccountToken, false) {
		t.Errorf("it is %+v", account)
	}
}
