package deploy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// With secure-metrics the program, run as the manifest says and under the rights that are shipped, is probed by the kubelet as before,
// tells metrics to whom RBAC allows them, and has no plain port that others reach.
func TestSecureMetrics(t *testing.T) {
	b := control(t)
	all := compose(t, system, "cluster-wide", []string{"secure-metrics"})
	install(t, all)
	c := container(t, all)
	secure := ""
	for _, arg := range c.Args {
		if address, ok := strings.CutPrefix(arg, "--listen="); ok && !strings.HasPrefix(address, "127.0.0.1:") {
			t.Errorf("others reach the plain port %s", address)
		}
		if address, ok := strings.CutPrefix(arg, "--secure-listen="); ok {
			secure = address
		}
	}
	if _, port, err := net.SplitHostPort(secure); err != nil || len(c.Ports) != 1 || fmt.Sprint(c.Ports[0].ContainerPort) != port {
		t.Fatalf("the program serves at %q, and the pod's ports are %v", secure, c.Ports)
	}
	wantTarget(t, typed[corev1.Service](t, all["Service "+system+"/gpuscaler"]), c.Ports[0].Name)
	address := freeAddress(t)
	run(t, system, append(c.Args, "--secure-listen", address))

	for _, probe := range []*corev1.HTTPGetAction{c.LivenessProbe.HTTPGet, c.ReadinessProbe.HTTPGet} {
		if probe.Scheme != corev1.URISchemeHTTPS || probe.Port.String() != c.Ports[0].Name {
			t.Errorf("the kubelet asks %v", probe)
		}
		if code := status(t, "https://"+address+probe.Path, ""); code != http.StatusOK {
			t.Errorf("%s answers the kubelet %d", probe.Path, code)
		}
	}
	config, err := b.ServiceAccountConfig(t.Context(), system, "prometheus")
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

// wantTarget wants every port of a Service to lead to the container's.
func wantTarget(t *testing.T, s *corev1.Service, name string) {
	t.Helper()
	if len(s.Spec.Ports) == 0 || slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.TargetPort.String() != name }) {
		t.Errorf("the Service has %v, and the container the port %s", s.Spec.Ports, name)
	}
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
