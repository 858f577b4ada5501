package deploy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
)

// With secure-metrics the program, run as the manifest says and under the rights that are shipped, answers the kubelet, and tells metrics to
// whom RBAC allows them and nobody else.
func TestSecureMetrics(t *testing.T) {
	all := compose(t, system, "cluster-wide", []string{"secure-metrics"})
	install(t, all)
	c := container(t, all)
	address := gpuscaler.FreeAddress(t)
	run(t, system, append(c.Args, "--secure-listen", address))
	for _, probe := range []*corev1.HTTPGetAction{c.LivenessProbe.HTTPGet, c.ReadinessProbe.HTTPGet} {
		if code := status(t, "https://"+address+probe.Path, ""); code != http.StatusOK {
			t.Errorf("%s answers the kubelet %d", probe.Path, code)
		}
	}
	config, err := control(t).ServiceAccountConfig(t.Context(), system, "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"": http.StatusUnauthorized, config.BearerToken: http.StatusForbidden} {
		if code := status(t, "https://"+address+"/metrics", token); code != want {
			t.Errorf("without the right /metrics answers %d, want %d", code, want)
		}
	}
	bind(t, "gpuscaler-metrics-scraper", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: "prometheus", Namespace: system})
	bed.WaitFor(t, 30*time.Second, "metrics for who may scrape", func() error {
		return bed.Want("status", status(t, "https://"+address+"/metrics", config.BearerToken), http.StatusOK)
	})
	if code := status(t, "https://"+address+"/api/v1/workloads", config.BearerToken); code != http.StatusForbidden {
		t.Errorf("/api answers who may only scrape %d", code)
	}
}

// The commands, which cannot come through the Service then, say how they can.
func TestCommandsBesideSecureMetrics(t *testing.T) {
	b := control(t)
	install(t, compose(t, system, "cluster-wide", []string{"secure-metrics"}))
	optIn(t, "default")
	config, err := b.UserKubeconfig("root", []string{"system:masters"})
	if err != nil {
		t.Fatal(err)
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "get", "-n", "default", "--kubeconfig", config).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "forward its --listen with kubectl port-forward") {
		t.Errorf("gpuscaler get: %v\n%s", err, out)
	}
}

// Service and kubelet ask at the port that --secure-listen opens, with TLS, the network policy lets them, and no other pod reaches the plain
// one.
func TestSecurePort(t *testing.T) {
	all := compose(t, system, "cluster-wide", []string{"secure-metrics", "network-policies"})
	c := container(t, all)
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	plain, secure := flags.String("listen", "", ""), flags.String("secure-listen", "", "")
	flags.ParseErrorsAllowlist.UnknownFlags = true
	if err := flags.Parse(c.Args); err != nil {
		t.Fatal(err)
	}
	if host, _, err := net.SplitHostPort(*plain); err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("others reach the plain port at %q", *plain)
	}
	if len(c.Ports) != 1 || fmt.Sprintf(":%d", c.Ports[0].ContainerPort) != *secure {
		t.Fatalf("the program serves at %q, and the pod has the ports %v", *secure, c.Ports)
	}
	port := c.Ports[0].Name
	for _, probe := range []*corev1.HTTPGetAction{c.LivenessProbe.HTTPGet, c.ReadinessProbe.HTTPGet} {
		if probe.Scheme != corev1.URISchemeHTTPS || probe.Port.String() != port {
			t.Errorf("the kubelet asks %v", probe)
		}
	}
	service := typed[corev1.Service](t, all["Service "+system+"/gpuscaler"])
	if len(service.Spec.Ports) != 1 || service.Spec.Ports[0].TargetPort.String() != port || service.Spec.Ports[0].Name != port {
		t.Errorf("the Service has %v", service.Spec.Ports)
	}
	np := typed[networkingv1.NetworkPolicy](t, all["NetworkPolicy "+system+"/gpuscaler"])
	if !slices.ContainsFunc(np.Spec.Ingress[0].Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.String() == port }) {
		t.Errorf("the network policy admits %v", np.Spec.Ingress)
	}
}

// With admission-policy the API server refuses mistakes.
func TestAdmissionPolicy(t *testing.T) {
	install(t, compose(t, system, "cluster-wide", []string{"admission-policy"}))
	deployments := control(t).Client().AppsV1().Deployments("default")
	labels := map[string]string{"app": "llm"}
	bed.WaitFor(t, 30*time.Second, "the policy", func() error {
		_, err := deployments.Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "wrong", Annotations: map[string]string{"gpuscaler.io/max-replicsa": "3"}},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "example.com/llm:1"}}},
				},
			},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return bed.Want("refused", err != nil && strings.Contains(err.Error(), "gpuscaler.io/max-replicsa"), true)
	})
}

// bind grants a ClusterRole until the test ends.
func bind(t *testing.T, role string, to rbacv1.Subject) {
	t.Helper()
	bindings := control(t).Client().RbacV1().ClusterRoleBindings()
	_, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{to},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.Background(), role, metav1.DeleteOptions{}) })
}

// status asks for a page with a token, if any, and returns the status of the answer. Like a kubelet it takes any certificate.
func status(t *testing.T, url, token string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}
