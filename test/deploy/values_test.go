package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// Files reach the program as they were written, and what is mounted for them is within the restricted standard.
func TestFiles(t *testing.T) {
	const classes = "ours:\n  target.queue-depth: \"3\"\n"
	all := helm(t, system, fmt.Sprintf("classes: %q\nqueries: %q\nprometheus: {url: \"https://prometheus.example.com\", httpConfigSecret: login}\nsecureMetrics: {enabled: true, tlsSecret: tls}\n", classes, "slots: {}"))
	files := typed[corev1.ConfigMap](t, all["ConfigMap "+system+"/gpuscaler-files"])
	if files.Data["classes.yaml"] != classes || strings.TrimSpace(files.Data["queries.yaml"]) != "slots: {}" {
		t.Errorf("the files are %q", files.Data)
	}
	spec := typed[appsv1.Deployment](t, all["Deployment "+system+"/gpuscaler"]).Spec.Template.Spec
	c := spec.Containers[0]
	for _, flag := range []string{"--classes=", "--queries=", "--prometheus-http-config=", "--tls-cert-file=", "--tls-private-key-file="} {
		n := slices.IndexFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, flag) })
		if n < 0 || !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.ReadOnly && strings.HasPrefix(strings.TrimPrefix(c.Args[n], flag), m.MountPath+"/")
		}) {
			t.Errorf("%s names nothing that is mounted: %q, %v", flag, c.Args, c.VolumeMounts)
		}
	}
	install(t, overlay(t, "cluster-wide"))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "files-"}, Spec: spec}
	_, err := control(t).Client().CoreV1().Pods(system).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if apierrors.IsForbidden(err) || err != nil {
		t.Errorf("a pod with files is refused: %v", err)
	}
	if all["ClusterRole gpuscaler-prometheus-discovery"] != nil {
		t.Error("Services may be listed, though the URL of Prometheus is known")
	}
}

// Two installations share no object, and each may write the lease and the checkpoint that its program uses.
func TestSecondInstallation(t *testing.T) {
	const both = `replicas: 2, networkPolicies: {enabled: true}, priorityClass: {create: true}, flowSchemas: true, viewerRole: true,
		secureMetrics: {enabled: true}, monitoring: {enabled: true}`
	first := helm(t, system, `{nvmlAgent: {enabled: true}, `+both+`}`)
	second := helm(t, "second", `{controllerName: second, nvmlAgent: {enabled: true, namespace: second-agents}, `+both+`}`)
	if len(second) != len(first) {
		t.Errorf("the first has %d objects, the second %d", len(first), len(second))
	}
	for name := range second {
		if first[name] != nil {
			t.Errorf("both have %s", name)
		}
	}
	lease := controller.LeaseName("second")
	role := typed[rbacv1.Role](t, second["Role second/"+lease])
	var named []string
	for _, rule := range role.Rules {
		named = append(named, rule.ResourceNames...)
	}
	if len(named) != 17 || named[0] != lease || named[16] != lease+"-checkpoint-15" {
		t.Errorf("the names it may write are %q", named)
	}
	d := typed[appsv1.Deployment](t, second["Deployment second/"+lease])
	if c := d.Spec.Template.Spec.Containers[0]; !slices.Contains(c.Args, "--controller-name=second") || d.Spec.Template.Spec.ServiceAccountName != lease {
		t.Errorf("the program is told %q under the account %s", c.Args, d.Spec.Template.Spec.ServiceAccountName)
	}
}

// Agents beside the controller are in a namespace that is there.
func TestAgentsBeside(t *testing.T) {
	for name := range helm(t, "gpus", `nvmlAgent: {enabled: true, namespace: gpus}`) {
		if strings.HasPrefix(name, "Namespace ") || strings.Contains(name, agents+"/") {
			t.Errorf("there is a %s", name)
		}
	}
}

// What is said of the certificate takes the place of not looking at it, and the objects have the labels by which a Prometheus picks them.
func TestMonitoringValues(t *testing.T) {
	all := helm(t, system, `{secureMetrics: {enabled: true}, monitoring: {enabled: true, labels: {release: ours}, tlsConfig: {serverName: gpuscaler}}}`)
	endpoints, _, err := unstructured.NestedSlice(all["ServiceMonitor "+system+"/gpuscaler"].Object, "spec", "endpoints")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(endpoints[0].(map[string]any)["tlsConfig"]); got != "map[serverName:gpuscaler]" {
		t.Errorf("Prometheus is told %s of the certificate", got)
	}
	for _, name := range []string{"ServiceMonitor " + system + "/gpuscaler", "PodMonitor " + system + "/gpuscaler-nvml-agent", "PrometheusRule " + system + "/gpuscaler"} {
		if all[name] == nil || all[name].GetLabels()["release"] != "ours" {
			t.Errorf("there is no %s with the label", name)
		}
	}
}

// In single namespaces all rights are Roles there, also that to patch pods.
func TestNamespacesOnly(t *testing.T) {
	all := helm(t, "gpus", `{watch: {namespaces: [team-a, team-b]}, prometheus: {url: ""}, scaleDownOrder: true}`)
	for name := range all {
		if strings.HasPrefix(name, "Cluster") {
			t.Errorf("there is a %s", name)
		}
	}
	for _, ns := range []string{"team-a", "team-b"} {
		for _, role := range []string{"workloads", "least-busy"} {
			binding := typed[rbacv1.RoleBinding](t, all["RoleBinding "+ns+"/gpuscaler-"+role])
			want := rbacv1.Subject{Kind: "ServiceAccount", Name: account, Namespace: "gpus"}
			if all["Role "+ns+"/"+binding.RoleRef.Name] == nil || !slices.Equal(binding.Subjects, []rbacv1.Subject{want}) {
				t.Errorf("%s gives %v to %v", nameOf(all["RoleBinding "+ns+"/gpuscaler-"+role]), binding.RoleRef, binding.Subjects)
			}
		}
	}
}

// The network policy lets the controller reach the ports at which the built-in classes scrape.
func TestPolicyAllowsScraping(t *testing.T) {
	np := typed[networkingv1.NetworkPolicy](t, compose(t, system, "cluster-wide", []string{"network-policies"})["NetworkPolicy "+system+"/gpuscaler"])
	var pods []string
	for _, rule := range np.Spec.Egress {
		if len(rule.To) == 1 && rule.To[0].PodSelector == nil && rule.To[0].NamespaceSelector != nil && len(rule.To[0].NamespaceSelector.MatchLabels) == 0 {
			for _, port := range rule.Ports {
				pods = append(pods, port.Port.String())
			}
		}
	}
	for _, port := range scrapePorts(t) {
		if !slices.Contains(pods, port) {
			t.Errorf("port %s of a class is not among %q", port, pods)
		}
	}
}

// scrapePorts are the ports of the built-in classes, whose names an error tells.
func scrapePorts(t *testing.T) []string {
	t.Helper()
	settings := policy.Settings{Interval: 5 * time.Second, MaxSampleAge: 90 * time.Second}
	_, problems := policy.Parse(map[string]string{policy.Prefix + "enabled": "true", policy.Prefix + "class": "?"}, settings)
	_, names, _ := strings.Cut(problems.Error(), "allowed are ")
	names, _, _ = strings.Cut(names, "\n")
	var ports []string
	for class := range strings.SplitSeq(names, ", ") {
		spec, _ := policy.Parse(map[string]string{
			policy.Prefix + "enabled": "true", policy.Prefix + "class": class, policy.Prefix + "max-replicas": "2",
		}, settings)
		if spec.Scrape.Port != 0 {
			ports = append(ports, fmt.Sprint(spec.Scrape.Port))
		}
	}
	if len(ports) < 3 {
		t.Fatalf("the classes %q scrape only %q", names, ports)
	}
	return ports
}
