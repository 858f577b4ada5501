package bed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Egress is the way of the API server to pods: a CONNECT proxy on a unix socket that knows which loopback listener
// stands for a pod's address and port. The service and pod proxies of the API server, and so kube:// URLs, go through
// it. An address that is not mapped is refused, as a port on which nothing listens would be.
type Egress struct {
	server   *http.Server
	listener net.Listener

	mu    sync.Mutex
	addrs map[string]string
	conns map[string]map[net.Conn]struct{}
}

func newEgress(socket string) (*Egress, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listening for the egress proxy: %w", err)
	}
	e := &Egress{listener: listener, addrs: map[string]string{}, conns: map[string]map[net.Conn]struct{}{}}
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	go func() { _ = e.server.Serve(listener) }()
	return e, nil
}

// Map makes addr (a loopback "host:port") answer for the port of the pod address. Mapping again moves it: connections
// to the former listener are closed, because the API server would go on using them.
func (e *Egress) Map(podIP string, port int, addr string) {
	key := net.JoinHostPort(podIP, strconv.Itoa(port))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeLocked(key)
	e.addrs[key] = addr
}

// Unmap takes a port of a pod address away and closes the connections to it.
func (e *Egress) Unmap(podIP string, port int) {
	key := net.JoinHostPort(podIP, strconv.Itoa(port))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeLocked(key)
	delete(e.addrs, key)
}

func (e *Egress) closeLocked(key string) {
	for conn := range e.conns[key] {
		_ = conn.Close()
	}
	delete(e.conns, key)
}

// ServeHTTP answers CONNECT requests of the API server.
func (e *Egress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT is allowed", http.StatusMethodNotAllowed)
		return
	}
	e.mu.Lock()
	addr, ok := e.addrs[r.Host]
	e.mu.Unlock()
	if !ok {
		http.Error(w, "nothing listens on "+r.Host, http.StatusBadGateway)
		return
	}
	backend, err := new(net.Dialer).DialContext(r.Context(), "tcp", addr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer backend.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	e.track(r.Host, backend)
	defer e.untrack(r.Host, backend)
	splice(client, buffered.Reader, backend)
}

func (e *Egress) track(key string, conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns[key] == nil {
		e.conns[key] = map[net.Conn]struct{}{}
	}
	e.conns[key][conn] = struct{}{}
}

func (e *Egress) untrack(key string, conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns[key], conn)
}

// splice copies both ways until one side ends. What the client sent early sits in buffered.
func splice(client net.Conn, buffered *bufio.Reader, backend net.Conn) {
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(backend, buffered)
		done <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(client, backend)
		done <- struct{}{}
	}()
	<-done
	_ = client.Close()
	_ = backend.Close()
	<-done
}

func (e *Egress) close() {
	e.mu.Lock()
	for key := range e.conns {
		e.closeLocked(key)
	}
	e.addrs = map[string]string{}
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := e.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = e.server.Close()
	}
}
