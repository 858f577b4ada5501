package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/util/cert"
)

// certificateAge is how long a certificate is used before its files are looked at again.
const certificateAge = 10 * time.Second

// certificate is what a server shows. That of files is read again when they change; as long as they are broken, for instance because
// one of the two is new and the other not yet, the last good one stays.
type certificate struct {
	// certFile and keyFile are empty for a certificate that was made at start.
	certFile, keyFile string
	log               logr.Logger

	mu      sync.Mutex
	current *tls.Certificate
	// certText and keyText are what current is from, and looked when the files were looked at last.
	certText, keyText []byte
	looked            time.Time
	// told is the problem that was logged, empty if it has passed.
	told string
}

// readCertificate reads the files.
func readCertificate(certFile, keyFile string, log logr.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.read(); err != nil {
		return nil, err
	}
	c.looked = time.Now()
	return c, nil
}

// makeCertificate makes one for the names, signed by itself: it keeps what is sent from being read, and proves nothing to clients.
func makeCertificate(names ...string) (*certificate, error) {
	var addresses []net.IP
	var hosts []string
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			addresses = append(addresses, ip)
		} else if name != "" {
			hosts = append(hosts, name)
		}
	}
	certText, keyText, err := cert.GenerateSelfSignedCertKey("gpuscaler", addresses, hosts)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &certificate{current: &pair}, nil
}

// read reads the files. It changes nothing if they are what they were, or if anything is wrong with them.
func (c *certificate) read() error {
	certText, err := os.ReadFile(c.certFile)
	if err != nil {
		return fmt.Errorf("reading --tls-cert-file: %w", err)
	}
	keyText, err := os.ReadFile(c.keyFile)
	if err != nil {
		return fmt.Errorf("reading --tls-private-key-file: %w", err)
	}
	if bytes.Equal(certText, c.certText) && bytes.Equal(keyText, c.keyText) {
		return nil
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return fmt.Errorf("--tls-cert-file %s and --tls-private-key-file %s are no pair of a certificate and its key in PEM: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.certText, c.keyText = &pair, certText, keyText
	return nil
}

// get returns the certificate to show now.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certFile != "" && time.Since(c.looked) >= certificateAge {
		c.looked = time.Now()
		before := c.current
		c.tell(c.read())
		if c.current != before {
			c.log.Info("The certificate has changed", "file", c.certFile, "serial", c.current.Leaf.SerialNumber.String(), "notAfter", c.current.Leaf.NotAfter)
		}
	}
	return c.current, nil
}

// tell logs a problem when it comes, and when it has passed.
func (c *certificate) tell(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	switch problem {
	case c.told:
	case "":
		c.log.Info("The files of the certificate are good again", "file", c.certFile)
	default:
		c.log.Error(err, "The certificate stays as it was")
	}
	c.told = problem
}

// server is the TLS configuration of the server that shows the certificate.
func (c *certificate) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// peer is the TLS configuration for a server that has the same private key, as all processes of one installation have that are
// given the same files. Nobody else is trusted, whoever has signed its certificate. It is nil for a certificate made at start, which
// is each process's own.
func (c *certificate) peer() *tls.Config {
	if c.certFile == "" {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The name in the certificate is not that of a pod, and the key says all there is to know.
		InsecureSkipVerify: true,
		VerifyConnection:   c.verify,
	}
}

// errStranger says that a server is none of ours.
var errStranger = errors.New("it shows another certificate than this process: if --tls-cert-file has just been renewed, not all have read it yet")

// verify refuses a server that has not our private key.
func (c *certificate) verify(state tls.ConnectionState) error {
	ours, err := c.get(nil)
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 || !sameKey(ours.Leaf, state.PeerCertificates[0]) {
		return errStranger
	}
	return nil
}

// sameKey reports whether two certificates are for the same private key.
func sameKey(a, b *x509.Certificate) bool {
	key, ok := a.PublicKey.(interface {
		Equal(key crypto.PublicKey) bool
	})
	return ok && key.Equal(b.PublicKey)
}
