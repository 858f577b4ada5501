package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// testPair makes a certificate for localhost with a serial number, and its key.
func testPair(t *testing.T, serial int64) (certText, keyText []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gpuscaler"}, DNSNames: []string{"localhost"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// write writes a file.
func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// handshake returns the certificate that a server shows.
func handshake(t *testing.T, address string, config *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	config.ServerName = "localhost"
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// shows starts a server that shows a certificate.
func shows(t *testing.T, c *certificate) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c.server())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, ErrorLog: nil, Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// A certificate is renewed as the kubelet does it in a mounted Secret: by one link that leads to another folder. Everything that can
// go wrong on the way leaves the good one in place, and is logged once.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	put := func(folder string, certText, keyText []byte) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, folder, "tls.crt"), certText)
		write(t, filepath.Join(dir, folder, "tls.key"), keyText)
		link := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(folder, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	cert1, key1 := testPair(t, 1)
	cert2, key2 := testPair(t, 2)
	put("one", cert1, key1)
	var logged []string
	log := funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{})
	c, err := readCertificate(filepath.Join(dir, "..data", "tls.crt"), filepath.Join(dir, "..data", "tls.key"), log)
	if err != nil {
		t.Fatal(err)
	}
	address := shows(t, c)
	pass := func() { // the time until the files are looked at again
		c.mu.Lock()
		defer c.mu.Unlock()
		c.looked = c.looked.Add(-certificateAge)
	}
	want := func(serial int64, lines int) {
		t.Helper()
		shown, err := handshake(t, address, &tls.Config{InsecureSkipVerify: true})
		if err != nil || shown.SerialNumber.Int64() != serial {
			t.Fatalf("shown is %v, %v; want number %d", shown, err, serial)
		}
		if len(logged) != lines {
			t.Errorf("%d lines logged, want %d:\n%s", len(logged), lines, strings.Join(logged, "\n"))
		}
	}
	want(1, 0)
	put("two", cert2, key2)
	want(1, 0) // the files are not looked at with each handshake
	pass()
	want(2, 1)
	pass()
	want(2, 1)
	put("mixed", cert1, key2)
	pass()
	want(2, 2)
	pass()
	want(2, 2)
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	pass()
	want(2, 3)
	put("three", cert1, key1)
	pass()
	want(1, 5) // it is good again, and it is another
	if text := strings.Join(logged, "\n"); strings.Contains(text, "PRIVATE KEY") {
		t.Errorf("the key is in the log:\n%s", text)
	}
}

// A peer is who has the same private key, also under another certificate.
func TestPeer(t *testing.T) {
	dir := t.TempDir()
	read := func(name string, certText, keyText []byte) *certificate {
		t.Helper()
		certFile, keyFile := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
		write(t, certFile, certText)
		write(t, keyFile, keyText)
		c, err := readCertificate(certFile, keyFile, logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	certText, keyText := testPair(t, 1)
	ours, alike := read("ours", certText, keyText), read("alike", certText, keyText)
	certText, keyText = testPair(t, 1)
	stranger := read("stranger", certText, keyText)
	if _, err := handshake(t, shows(t, alike), ours.peer()); err != nil {
		t.Errorf("a process with the same files is refused: %v", err)
	}
	if _, err := handshake(t, shows(t, stranger), ours.peer()); err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("a process with another key: got %v", err)
	}
	made, err := makeCertificate("localhost")
	if err != nil {
		t.Fatal(err)
	}
	if made.peer() != nil {
		t.Error("a certificate that is each process's own identifies a peer")
	}
	shown, err := handshake(t, shows(t, made), &tls.Config{InsecureSkipVerify: true})
	if err != nil || shown.VerifyHostname("localhost") != nil {
		t.Errorf("made %v, %v; want one for localhost", shown, err)
	}
}

func TestCertificateProblems(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	certText, keyText := testPair(t, 1)
	_, otherKey := testPair(t, 2)
	write(t, path("crt"), certText)
	write(t, path("key"), keyText)
	write(t, path("other"), otherKey)
	for _, c := range []struct{ name, cert, key, want string }{
		{"no certificate", "none", "key", "--tls-cert-file"},
		{"no key", "crt", "none", "--tls-private-key-file"},
		{"swapped", "key", "crt", "no pair"},
		{"another's key", "crt", "other", "no pair"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readCertificate(path(c.cert), path(c.key), logr.Discard())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path(c.cert)) && !strings.Contains(err.Error(), path(c.key)) {
				t.Errorf("got %v, want %s and the file", err, c.want)
			}
		})
	}
}

// Whoever speaks HTTP to the port is told so.
func TestPlainHTTPToTheSecurePort(t *testing.T) {
	made, err := makeCertificate("localhost")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", shows(t, made))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	text, _ := io.ReadAll(conn)
	if !strings.Contains(string(text), plainToSecure) {
		t.Errorf("got %q, want %q", text, plainToSecure)
	}
}
