package fleet

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// anyPort is where a server listens whose address does not matter.
const anyPort = "127.0.0.1:0"

// textFormat is the content type of the exposition format, as Python's client library writes it.
const textFormat = "text/plain; version=0.0.4; charset=utf-8"

const metricsPath = "/metrics"

// server is an HTTP server on a loopback address.
type server struct {
	addr    string
	handler http.Handler

	mu       sync.Mutex
	http     *http.Server // nil while nothing listens
	listener net.Listener
}

func startServer(addr string, handler http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	s := &server{addr: listener.Addr().String(), handler: handler}
	s.serveLocked(listener)
	return s, nil
}

func (s *server) serveLocked(listener net.Listener) {
	s.http, s.listener = &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Minute}, listener
	go func(server *http.Server) { _ = server.Serve(listener) }(s.http)
}

// listen lets it answer again after stop.
func (s *server) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", s.addr, err)
	}
	s.serveLocked(listener)
	return nil
}

// stop closes the address and all connections. The listener is closed here, because the HTTP server does not know of it
// before its goroutine has begun.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		_ = s.listener.Close()
		_ = s.http.Close()
		s.http = nil
	}
}

func metricsHandler(contentType string, expose func() []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+metricsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(expose())
	})
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	return mux
}
