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
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// secured starts a controller that takes part in the election of a leader and serves with TLS alone.
func secured(t *testing.T, ns, prometheus string, args ...string) *stage.Process {
	t.Helper()
	return stage.StartAt(t, stage.Cluster.Config, "--secure-listen", gpuscaler.FreeAddress(t), append([]string{
		"run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", prometheus, "--leader-elect", "--controller-name", ns,
	}, args...)...)
}

// secure asks with TLS, whoever answers, and with a token unless it is empty.
func secure(p *stage.Process, t *testing.T, path, token string) (code int, body string, shown *x509.Certificate) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.Listen+path, nil)
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
func wantSecure(p *stage.Process, t *testing.T, path, token string, code int, part string) {
	t.Helper()
	bed.WaitFor(t, 20*time.Second, fmt.Sprintf("%d from %s", code, path), func() error {
		got, body, _ := secure(p, t, path, token)
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
		if err := stage.Cluster.Apply(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

// account makes a service account with a ClusterRole, unless that is empty, and returns its token.
func account(t *testing.T, ns, name, role string) string {
	t.Helper()
	config, err := stage.Cluster.ServiceAccountConfig(t.Context(), ns, name)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		_, err = stage.Cluster.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
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
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "secure")
	stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), stage.NewLoad(100))
	dir := t.TempDir()
	writePair(t, dir, 1)
	files := []string{"--tls-cert-file", filepath.Join(dir, "tls.crt"), "--tls-private-key-file", filepath.Join(dir, "tls.key")}
	// Each installation has a Lease of its own name, which the Role of deploy/ does not name.
	stage.AllowName(t, ns)
	leader := secured(t, ns, p.URL(), files...)
	scraper, reader, other := account(t, ns, "scraper", "gpuscaler-metrics-scraper"), account(t, ns, "reader", "gpuscaler-dashboard-reader"), account(t, ns, "other", "")

	wantSecure(leader, t, "/healthz", "", http.StatusOK, "ok")
	wantSecure(leader, t, "/metrics", scraper, http.StatusServiceUnavailable, "deploy/rbac/secure-metrics")
	applyAll(t, "../../deploy/rbac/secure-metrics")
	wantSecure(leader, t, "/metrics", scraper, http.StatusOK, "\ngpuscaler_leader 1")

	standby := secured(t, ns, p.URL(), files...)
	alone := secured(t, ns, p.URL()) // with a certificate of its own
	for name, process := range map[string]*stage.Process{"leader": leader, "standby": standby} {
		t.Run(name, func(t *testing.T) {
			wantSecure(process, t, "/readyz", "", http.StatusOK, "ok")
			wantSecure(process, t, "/metrics", scraper, http.StatusOK, "\ngpuscaler_leader ")
			wantSecure(process, t, "/metrics", "", http.StatusUnauthorized, "bearer token is required")
			wantSecure(process, t, "/metrics", scraper+"x", http.StatusUnauthorized, "does not accept")
			wantSecure(process, t, "/metrics", other, http.StatusForbidden, `user "system:serviceaccount:`+ns+`:other" cannot get path "/metrics"`)
			wantSecure(process, t, "/metrics", reader, http.StatusForbidden, `cannot get path "/metrics"`)
			// By system:discovery every service account may GET /api/*.
			wantSecure(process, t, "/api/v1/workloads", other, http.StatusForbidden, `cannot get path "/gpuscaler/api/v1/workloads"`)
			wantSecure(process, t, "/", scraper, http.StatusForbidden, `cannot get path "/gpuscaler/"`)
			// These two the standby has the leader answer.
			wantSecure(process, t, "/api/v1/workloads/"+ns+"/vision", reader, http.StatusOK, `"name":"vision"`)
			wantSecure(process, t, "/", reader, http.StatusOK, "vision")
		})
	}
	wantSecure(alone, t, "/metrics", scraper, http.StatusOK, "\ngpuscaler_leader 0")
	wantSecure(alone, t, "/", reader, http.StatusServiceUnavailable, "--tls-cert-file")

	err := stage.Cluster.Expose(t.Context(), bed.Service{Namespace: ns, Name: "gpuscaler", Port: 8443, PortName: "https", Addr: leader.Listen})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"gpuscaler", "https:gpuscaler"} {
		_, stderr, code := stage.Command(t, "plan", "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", stage.Cluster.Viewer, "--controller-url", "kube://"+ns+"/"+service+":8443")
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
	for _, process := range []*stage.Process{leader, standby} {
		bed.WaitFor(t, 25*time.Second, "the renewed certificate", func() error {
			_, _, shown := secure(process, t, "/healthz", "")
			return bed.Want("serial number", shown.SerialNumber.Int64(), int64(2))
		})
	}
	wantSecure(standby, t, "/", reader, http.StatusOK, "vision")
}

// Beside the secure port a plain one can be served to this host alone: kubectl port-forward reaches it, and the commands ask there.
func TestPlainBesideSecure(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "beside")
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), stage.NewLoad(100))
	program := stage.Runs(t, ns, p.URL(), "--secure-listen", gpuscaler.FreeAddress(t))
	d.WaitReason(program, "WithinTolerance")
	_, stderr, code := stage.Command(t, "plan", "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", stage.Cluster.Viewer, "--controller-url", "http://"+program.Listen)
	if code != 0 || !strings.Contains(stderr, "History: from the running controller") {
		t.Errorf("plan: code %d\n%s", code, stderr)
	}
}
