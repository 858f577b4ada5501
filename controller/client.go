package controller

import (
	"fmt"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// ClientFor returns the client for watching and writing. It has no rate limit of its own: the API server's priority and
// fairness, the cap on writes in flight, and a watch instead of polling limit it better.
func ClientFor(config *rest.Config) (kubernetes.Interface, error) {
	c := compact(config)
	c.QPS = -1
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("creating the Kubernetes client: %w", err)
	}
	return client, nil
}

// DynamicFor returns the client for watching other autoscalers, some of whose kinds not every cluster has.
func DynamicFor(config *rest.Config) (dynamic.Interface, error) {
	c := rest.CopyConfig(config)
	c.QPS = -1
	client, err := dynamic.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("creating the dynamic Kubernetes client: %w", err)
	}
	return client, nil
}

// LeaseClientFor returns the client for the Lease. A request that hangs must end well before the lease does.
func LeaseClientFor(config *rest.Config) (kubernetes.Interface, error) {
	c := compact(config)
	c.Timeout = renewDeadline / 2
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("creating the Kubernetes client for the lease: %w", err)
	}
	return client, nil
}

// ReviewClientFor returns the client for asking who may read what is served. Its requests are caused by whoever reaches the port, so it
// has a rate limit: they must not get in the way of the others.
func ReviewClientFor(config *rest.Config) (kubernetes.Interface, error) {
	c := compact(config)
	c.QPS, c.Burst = 20, 50
	client, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("creating the Kubernetes client for reviews: %w", err)
	}
	return client, nil
}

// compact asks for Protobuf, which costs a fraction of JSON's time and memory to decode.
func compact(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.ContentType = "application/vnd.kubernetes.protobuf"
	c.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return c
}
