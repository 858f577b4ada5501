package bed

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"
)

// Call is a request as the API server reads it: its verb (get, list, watch, create, patch, …), and what it is about.
type Call = request.RequestInfo

// Calls chooses some of them.
type Calls func(*Call) bool

// Gateway is an HTTP proxy in front of the API server that sees single requests, where a Proxy sees bytes. It spoils those that a
// test chooses, for one program, while all others keep the server. It serves a certificate of the bed's authority. Who asks with a
// token is known to the API server behind it; a client certificate ends here.
type Gateway struct {
	server *http.Server
	addr   string
	api    http.Handler
	// behind are the connections to the API server.
	behind *http.Transport
	kind   request.RequestInfoResolver

	mu     sync.Mutex
	broken Calls
	fault  Fault
	// bodies are those on their way.
	bodies map[*body]struct{}
}

// NewGateway starts a gateway. Stop of the bed closes it.
func (b *Bed) NewGateway() (*Gateway, error) {
	pair, err := b.ca.server()
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of a gateway: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.ca.pem)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for a gateway: %w", err)
	}
	quiet := log.New(io.Discard, "", 0) // broken connections are what it is for
	g := &Gateway{
		addr:   listener.Addr().String(),
		kind:   &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")},
		bodies: map[*body]struct{}{},
		behind: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true},
	}
	g.api = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: b.api.addr})
		},
		Transport:      g.behind,
		FlushInterval:  -1, // a watch's events go out as they come
		ModifyResponse: g.watchBody,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       quiet,
	}
	g.server = &http.Server{ //nolint:gosec // a test's own, on the loopback
		Handler: g, ErrorLog: quiet, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	go func() { _ = g.server.ServeTLS(listener, "", "") }()
	b.mu.Lock()
	b.gateways = append(b.gateways, g)
	b.mu.Unlock()
	return g, nil
}

// Through returns a copy of the configuration that reaches the API server through the gateway.
func (g *Gateway) Through(config *rest.Config) *rest.Config {
	through := rest.CopyConfig(config)
	through.Host = "https://" + g.addr
	return through
}

// Break has the fault stand in for the API server for these calls, from now on and in place of what broke before.
func (g *Gateway) Break(calls Calls, fault Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken, g.fault = calls, fault
}

// Hold stops the answers to these calls that are on their way now, as those to watches are for most of the time: they stay open and
// tell nothing. What was to be told comes when the gateway heals.
func (g *Gateway) Hold(calls Calls) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for b := range g.bodies {
		if calls(b.call) {
			b.hold()
		}
	}
}

// Cut breaks the answers to these calls that are on their way now.
func (g *Gateway) Cut(calls Calls) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for b := range g.bodies {
		if calls(b.call) {
			b.cut()
		}
	}
}

// Heal ends all that is broken or held.
func (g *Gateway) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken, g.fault = nil, nil
	for b := range g.bodies {
		b.release()
	}
}

// Close ends the gateway and all that goes through it.
func (g *Gateway) Close() {
	_ = g.server.Close()
	g.behind.CloseIdleConnections()
}

// ServeHTTP passes a request on, or has a fault answer it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call, err := g.kind.NewRequestInfo(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r = r.WithContext(request.WithRequestInfo(r.Context(), call))
	g.mu.Lock()
	broken, fault := g.broken, g.fault
	g.mu.Unlock()
	if broken != nil && broken(call) {
		fault(g.api).ServeHTTP(w, r)
		return
	}
	g.api.ServeHTTP(w, r)
}

// watchBody keeps an eye on an answer on its way.
func (g *Gateway) watchBody(r *http.Response) error {
	call, _ := request.RequestInfoFrom(r.Request.Context())
	b := &body{ReadCloser: r.Body, gateway: g, call: call, done: r.Request.Context().Done(), broken: make(chan struct{})}
	b.flowing = make(chan struct{})
	close(b.flowing)
	g.mu.Lock()
	g.bodies[b] = struct{}{}
	g.mu.Unlock()
	r.Body = b
	return nil
}

// body is that of an answer on its way. The gateway's mutex guards it.
type body struct {
	io.ReadCloser
	gateway *Gateway
	call    *Call
	done    <-chan struct{}
	// broken is closed when it is cut, and flowing while it is not held.
	broken, flowing chan struct{}
}

// errCut ends an answer that is cut.
var errCut = errors.New("cut by the gateway")

// hold stops it. Call it with the mutex held, like what follows.
func (b *body) hold() {
	select {
	case <-b.flowing:
		b.flowing = make(chan struct{})
	default:
	}
}

func (b *body) release() {
	select {
	case <-b.flowing:
	default:
		close(b.flowing)
	}
}

func (b *body) cut() {
	select {
	case <-b.broken:
	default:
		close(b.broken)
		_ = b.ReadCloser.Close() // ends a Read that waits
	}
}

// Read hands on what comes, when it is not held.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.gateway.mu.Lock()
	flowing := b.flowing
	b.gateway.mu.Unlock()
	select {
	case <-b.broken:
		return 0, errCut
	case <-b.done:
		return 0, errCut
	case <-flowing:
		return n, err
	}
}

// Close ends it.
func (b *body) Close() error {
	b.gateway.mu.Lock()
	delete(b.gateway.bodies, b)
	b.gateway.mu.Unlock()
	return b.ReadCloser.Close()
}

// CallOf returns what a request is that a Fault is asked to answer.
func CallOf(r *http.Request) *Call {
	call, _ := request.RequestInfoFrom(r.Context())
	return call
}
