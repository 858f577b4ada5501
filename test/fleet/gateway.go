package fleet

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Gateway is what stands in front of the Deployments of a namespace and holds their requests while no pod takes them. It
// exposes how many it holds, whether or not there is any pod:
//
//	gateway_queue_length{deployment="llm"} 5
type Gateway struct {
	fleet     *Fleet
	namespace string
	server    *server

	mu     sync.Mutex
	queues map[string]float64
}

// StartGateway starts the gateway of a namespace, which holds nothing yet. A namespace has one at most.
func (f *Fleet) StartGateway(namespace string) (*Gateway, error) {
	g := &Gateway{fleet: f, namespace: namespace, queues: map[string]float64{}}
	var err error
	if g.server, err = startServer(anyPort, metricsHandler(textFormat, g.expose)); err != nil {
		return nil, fmt.Errorf("starting the gateway of %s: %w", namespace, err)
	}
	f.mu.Lock()
	defer f.publish()
	defer f.mu.Unlock()
	if f.gateways[namespace] != nil {
		g.server.stop()
		return nil, fmt.Errorf("starting the gateway of %s: it has one", namespace)
	}
	f.gateways[namespace] = g
	return g, nil
}

// Stop ends the gateway: its series end with it.
func (g *Gateway) Stop() {
	g.fleet.mu.Lock()
	if g.fleet.gateways[g.namespace] == g {
		delete(g.fleet.gateways, g.namespace)
	}
	g.fleet.mu.Unlock()
	g.server.stop()
	g.fleet.publish()
}

// SetQueue changes how many requests wait for a Deployment. One that was never set has no series.
func (g *Gateway) SetQueue(deployment string, waiting float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queues[deployment] = waiting
}

func (g *Gateway) expose() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out bytes.Buffer
	out.WriteString("# HELP gateway_queue_length Requests that wait for a server.\n# TYPE gateway_queue_length gauge\n")
	for _, deployment := range slices.Sorted(maps.Keys(g.queues)) {
		fmt.Fprintf(&out, "gateway_queue_length{deployment=%q} %v\n", deployment, g.queues[deployment])
	}
	return out.Bytes()
}

// target is the gateway as a ServiceMonitor finds it.
func (g *Gateway) target() Target {
	return Target{Addr: g.server.addr, Labels: map[string]string{
		"instance": g.server.addr, "endpoint": "metrics", "service": "gateway", "pod": "gateway-0", "namespace": g.namespace,
	}}
}
