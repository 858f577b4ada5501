package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/controller/access"
)

// secureFlags say where and with which certificate to serve those whom RBAC allows it.
type secureFlags struct {
	listen, certFile, keyFile string
}

func (f *secureFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.listen, "secure-listen", "", "`address` to serve the same at with TLS, to whom RBAC allows it by the bearer token; health is told everyone")
	flags.StringVar(&f.certFile, "tls-cert-file", "", "`file` with the certificate of --secure-listen, followed by those of its authorities; read again when it changes (default one made at start)")
	flags.StringVar(&f.keyFile, "tls-private-key-file", "", "`file` with the key of --tls-cert-file")
}

// problems returns what is wrong with the flags.
func (f *secureFlags) problems() []error {
	var problems []error
	if !isAddress(f.listen) {
		problems = append(problems, fmt.Errorf("--secure-listen %q is no address: it looks like :8443 or 127.0.0.1:8443", f.listen))
	}
	if (f.certFile == "") != (f.keyFile == "") {
		problems = append(problems, errors.New("--tls-cert-file and --tls-private-key-file go together: give both or none"))
	} else if f.certFile != "" && f.listen == "" {
		problems = append(problems, errors.New("--tls-cert-file is for --secure-listen: give its address too"))
	}
	return problems
}

// secureServer is an open port with what it takes to serve there; nil for none.
type secureServer struct {
	net.Listener
	certificate *certificate
	guard       *access.Guard
}

// listener is the port, nil if there is none.
func (s *secureServer) listener() net.Listener {
	if s == nil {
		return nil
	}
	return s.Listener
}

// open prepares serving, nil if no address is given.
func (f *secureFlags) open(ctx context.Context, c *cluster, log logr.Logger) (*secureServer, error) {
	if f.listen == "" {
		return nil, nil
	}
	client, err := controller.ReviewClientFor(c.config)
	if err != nil {
		return nil, err
	}
	certificate, err := f.certificate(log)
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, "secure-listen", f.listen)
	if err != nil {
		return nil, err
	}
	return &secureServer{listener, certificate, access.New(client, log.WithName("access"))}, nil
}

// certificate reads the files, or makes a certificate if none are given.
func (f *secureFlags) certificate(log logr.Logger) (*certificate, error) {
	if f.certFile != "" {
		return readCertificate(f.certFile, f.keyFile, log)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding a name for the certificate: %w", err)
	}
	made, err := makeCertificate(host, "localhost", "127.0.0.1", "::1", os.Getenv("POD_IP"))
	if err == nil {
		log.Info("Serving with a certificate made now, which clients cannot verify: give one by --tls-cert-file and --tls-private-key-file")
	}
	return made, err
}

// listeners are where a controller serves.
type listeners struct {
	plain  net.Listener
	secure *secureServer
}

// serveWhile serves what a controller tells while a function runs.
func (l *listeners) serveWhile(ctx context.Context, scaler *controller.Controller, log logr.Logger, run func(context.Context) error) error {
	if s := l.secure; s != nil {
		inner := run
		handler := s.guard.Handler(scaler.SecureHandler(s.certificate.peer()), "/healthz", "/readyz")
		run = func(ctx context.Context) error {
			return serveWhile(ctx, tls.NewListener(s.Listener, s.certificate.server()), handler, log, inner)
		}
	}
	return serveWhile(ctx, l.plain, scaler.Handler(), log, run)
}
