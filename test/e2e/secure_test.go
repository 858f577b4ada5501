package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
)

// secured starts a controller that takes part in the election of a leader and serves with TLS alone.
func secured(t *testing.T, ns, prometheus string, args ...string) *process {
	t.Helper()
	return startAt(t, cluster.config, "--secure-listen", gpuscaler.FreeAddress(t), append([]string{
		"run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", prometheus, "--leader-elect", "--controller-name", ns,
	}, args...)...)
}

// secure asks with TLS, whoever answers, and with a token unless it is empty.
func (p *process) secure(t *testing.T, path, token string) (code int, body string, shown *x509.Certificate) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.listen+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.TLS.PeerCertificates[0]
}

// wantSecure wants an answer within some seconds.
func (p *process) wantSecure(t *testing.T, path, token string, code int, part string) {
	t.Helper()
	bed.WaitFor(t, 20*time.Second, fmt.Sprintf("%d from %s", code, path), func() error {
		got, body, _ := p.secure(t, path, token)
		if got != code || !strings.Contains(body, part) {
			return fmt.Errorf("%d %.300q, want %d and %q", got, body, code, part)
		}
		return nil
	})
}

// applyAll applies the manifests of a folder.
func applyAll(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "cluster*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.Apply(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// account makes a service account with a ClusterRole, unless that is empty, and returns its token.
func account(t *testing.T, ns, name, role string) string {
	t.Helper()
	config, err := cluster.ServiceAccountConfig(t.Context(), ns, name)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		_, err = cluster.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: ns + "-" + name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	return config.BearerToken
}

// writePair writes a certificate with a serial number and its key into a folder.
func writePair(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"gpuscaler"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The secure port serves whom RBAC allows it by a real token, on leader and standby, and nobody else; without the right to ask it
// serves nobody. A renewed certificate is taken up, and the commands say why they cannot ask there.
func TestSecureListen(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "secure")
	create(t, ns, "vision", 2, gpuAnnotations(), newLoad(100))
	dir := t.TempDir()
	writePair(t, dir, 1)
	files := []string{"--tls-cert-file", filepath.Join(dir, "tls.crt"), "--tls-private-key-file", filepath.Join(dir, "tls.key")}
	// Each installation has a Lease of its own name, which the Role of deploy/ does not name.
	allow(t, ns)
	leader := secured(t, ns, p.URL(), files...)
	scraper, reader, other := account(t, ns, "scraper", "gpuscaler-metrics-scraper"), account(t, ns, "reader", "gpuscaler-dashboard-reader"), account(t, ns, "other", "")

	leader.wantSecure(t, "/healthz", "", http.StatusOK, "ok")
	leader.wantSecure(t, "/metrics", scraper, http.StatusServiceUnavailable, "deploy/rbac/secure-metrics")
	applyAll(t, "../../deploy/rbac/secure-metrics")
	leader.wantSecure(t, "/metrics", scraper, http.StatusOK, "\ngpuscaler_leader 1")

	standby := secured(t, ns, p.URL(), files...)
	alone := secured(t, ns, p.URL()) // with a certificate of its own
	for name, process := range map[string]*process{"leader": leader, "standby": standby} {
		t.Run(name, func(t *testing.T) {
			process.wantSecure(t, "/readyz", "", http.StatusOK, "ok")
			process.wantSecure(t, "/metrics", scraper, http.StatusOK, "\ngpuscaler_leader ")
			process.wantSecure(t, "/metrics", "", http.StatusUnauthorized, "bearer token is required")
			process.wantSecure(t, "/metrics", scraper+"x", http.StatusUnauthorized, "does not accept")
			process.wantSecure(t, "/metrics", other, http.StatusForbidden, `user "system:serviceaccount:`+ns+`:other" cannot get path "/metrics"`)
			process.wantSecure(t, "/metrics", reader, http.StatusForbidden, `cannot get path "/metrics"`)
			// By system:discovery every service account may GET /api/*.
			process.wantSecure(t, "/api/v1/workloads", other, http.StatusForbidden, `cannot get path "/gpuscaler/api/v1/workloads"`)
			process.wantSecure(t, "/", scraper, http.StatusForbidden, `cannot get path "/gpuscaler/"`)
			// These two the standby has the leader answer.
			process.wantSecure(t, "/api/v1/workloads/"+ns+"/vision", reader, http.StatusOK, `"name":"vision"`)
			process.wantSecure(t, "/", reader, http.StatusOK, "vision")
		})
	}
	alone.wantSecure(t, "/metrics", scraper, http.StatusOK, "\ngpuscaler_leader 0")
	alone.wantSecure(t, "/", reader, http.StatusServiceUnavailable, "--tls-cert-file")

	err := cluster.Expose(t.Context(), bed.Service{Namespace: ns, Name: "gpuscaler", Port: 8443, PortName: "https", Addr: leader.listen})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"gpuscaler", "https:gpuscaler"} {
		_, stderr, code := command(t, "plan", "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", cluster.viewer, "--controller-url", "kube://"+ns+"/"+service+":8443")
		if code != 0 || !strings.Contains(stderr, "approximate") || !strings.Contains(stderr, "--secure-listen") {
			t.Errorf("plan through %s: code %d\n%s", service, code, stderr)
		}
	}

	scrapesProgram(t, p, leader, scraper)
	bed.WaitFor(t, 20*time.Second, "metrics in Prometheus", func() error {
		samples, err := p.Query(t.Context(), `gpuscaler_current_replicas{job="gpuscaler",namespace="`+ns+`",workload="vision"} == 2`)
		if err != nil {
			return err
		}
		return bed.Want("series", len(samples), 1)
	})

	writePair(t, dir, 2)
	for _, process := range []*process{leader, standby} {
		bed.WaitFor(t, 25*time.Second, "the renewed certificate", func() error {
			_, _, shown := process.secure(t, "/healthz", "")
			return bed.Want("serial number", shown.SerialNumber.Int64(), int64(2))
		})
	}
	standby.wantSecure(t, "/", reader, http.StatusOK, "vision")
}

// Beside the secure port a plain one can be served to this host alone: kubectl port-forward reaches it, and the commands ask there.
func TestPlainBesideSecure(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "beside")
	d := create(t, ns, "vision", 2, gpuAnnotations(), newLoad(100))
	program := runs(t, ns, p.URL(), "--secure-listen", gpuscaler.FreeAddress(t))
	d.waitReason(program, "WithinTolerance")
	_, stderr, code := command(t, "plan", "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", cluster.viewer, "--controller-url", "http://"+program.listen)
	if code != 0 || !strings.Contains(stderr, "History: from the running controller") {
		t.Errorf("plan: code %d\n%s", code, stderr)
	}
}
