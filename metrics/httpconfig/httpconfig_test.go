package httpconfig

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const empty = `{"status":"success","data":{"resultType":"vector","result":[]}}`

// read makes one query through the transport that a file describes.
func read(t *testing.T, transport http.RoundTripper, url string) error {
	t.Helper()
	p, err := metrics.NewPrometheus(metrics.Options{ClientOptions: metrics.ClientOptions{URL: url, Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Read(context.Background(), policy.QueueDepth, []string{"ml"})
	return err
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "token", "first\n")
	write(t, dir, "password", "hunter2")
	tests := map[string]struct{ header, value string }{
		"authorization: {credentials_file: token}":                         {"Authorization", "Bearer first"},
		"bearer_token_file: token":                                         {"Authorization", "Bearer first"},
		"authorization: {type: Custom, credentials: x}":                    {"Authorization", "Custom x"},
		"basic_auth: {username: me, password_file: password}":              {"Authorization", "Basic bWU6aHVudGVyMg=="},
		"http_headers: {X-Scope-OrgID: {values: [a|b]}}":                   {"X-Scope-Orgid", "a|b"},
		"http_headers: {X-Token: {files: [password]}}\nenable_http2: true": {"X-Token", "hunter2"},
	}
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			got := ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header.Get(want.header)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(empty))
			}))
			defer server.Close()
			transport, err := Load(write(t, dir, "http.yaml", text))
			if err != nil {
				t.Fatal(err)
			}
			if err := read(t, transport, server.URL); err != nil {
				t.Fatal(err)
			}
			if got != want.value {
				t.Errorf("%s: %q, want %q", want.header, got, want.value)
			}
		})
	}
}

// TestRotation: a token that is replaced on disk is used from the next request on, and one that is gone is an error.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	token := "first"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(empty))
	}))
	defer server.Close()
	server.Config.SetKeepAlivesEnabled(false)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	write(t, dir, "token", token)
	write(t, dir, "ca.pem", ca)
	transport, err := Load(write(t, dir, "http.yaml",
		"authorization: {credentials_file: token}\ntls_config: {ca_file: ca.pem, server_name: example.com}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := read(t, transport, server.URL); err != nil {
		t.Fatalf("at first: %v", err)
	}
	token = "second"
	if err := read(t, transport, server.URL); !errors.Is(err, metrics.ErrUnauthorized) {
		t.Fatalf("with the old token: %v", err)
	}
	write(t, dir, "token", token)
	if err := read(t, transport, server.URL); err != nil {
		t.Fatalf("with the new token: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	if err := read(t, transport, server.URL); !errors.Is(err, metrics.ErrUnreachable) {
		t.Fatalf("without a token: %v", err)
	}
}

// TestUntrustedAndRedirected: a certificate of another authority is refused; follow_redirects changes nothing.
func TestUntrustedAndRedirected(t *testing.T) {
	dir := t.TempDir()
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer target.Close()
	server := httptest.NewTLSServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer server.Close()
	transport, err := Load(write(t, dir, "a.yaml", "follow_redirects: true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := read(t, transport, server.URL); !errors.Is(err, metrics.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("untrusted: %v", err)
	}
	transport, err = Load(write(t, dir, "b.yaml", "follow_redirects: true\ntls_config: {insecure_skip_verify: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := read(t, transport, server.URL); !errors.Is(err, metrics.ErrMalformed) {
		t.Errorf("redirected: %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]string{
		"typo: 1": "typo",
		"basic_auth: {username: a}\nauthorization: {credentials: b}": "at most one",
		"tls_config: {ca_file: missing.pem}":                         "missing.pem",
	}
	for text, want := range tests {
		path := write(t, dir, "http.yaml", text)
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one with %q and the file", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
