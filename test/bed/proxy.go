package bed

import (
	"context"
	"fmt"
	"net"
	"sync"

	"k8s.io/client-go/rest"
)

// Proxy is a TCP proxy in front of the API server that a test can cut, to take the API server away from one program
// while all others keep it. The server's certificate fits it.
type Proxy struct {
	target, addr string

	mu       sync.Mutex
	listener net.Listener
	// flowing is closed while bytes may pass and open while the proxy hangs.
	flowing chan struct{}
	conns   map[net.Conn]struct{}
	closed  bool
}

// NewProxy starts a proxy in front of the API server. Stop of the bed closes it.
func (b *Bed) NewProxy() (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for a proxy: %w", err)
	}
	p := &Proxy{
		target: b.api.addr, addr: listener.Addr().String(), listener: listener,
		flowing: make(chan struct{}), conns: map[net.Conn]struct{}{},
	}
	close(p.flowing)
	go p.accept(listener)
	b.mu.Lock()
	b.proxies = append(b.proxies, p)
	b.mu.Unlock()
	return p, nil
}

// Addr is the loopback "host:port" of the proxy; it stays the same.
func (p *Proxy) Addr() string { return p.addr }

// Through returns a copy of the configuration that reaches the API server through the proxy.
func (p *Proxy) Through(config *rest.Config) *rest.Config {
	through := rest.CopyConfig(config)
	through.Host = "https://" + p.addr
	return through
}

// Cut closes all connections and refuses new ones, as a machine does on which the API server has died.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutLocked()
}

// Hang stops all bytes but keeps the connections, and accepts new ones, as a network does that loses packets.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
		p.flowing = make(chan struct{})
	default:
	}
}

// Restore lets everything pass again after Cut or Hang; hung connections go on where they stopped.
func (p *Proxy) Restore() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flowLocked()
	if p.listener != nil || p.closed {
		return nil
	}
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("restoring the proxy: %w", err)
	}
	p.listener = listener
	go p.accept(listener)
	return nil
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cutLocked()
}

func (p *Proxy) cutLocked() {
	p.flowLocked()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *Proxy) flowLocked() {
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go p.serve(client)
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	if !p.add(client, server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client) })
	both.Go(func() { p.copy(client, server) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// add registers the connections of one client, unless the proxy was cut since it was accepted.
func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.listener == nil {
			_ = conn.Close()
			continue
		}
		p.conns[conn] = struct{}{}
	}
	return p.listener != nil
}

// copy moves bytes one way while the proxy flows and closes both ends when one is at its end.
func (p *Proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			flowing := p.flowing
			p.mu.Unlock()
			<-flowing
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
