package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	neturl "net/url"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
)

const (
	// defaultControllerURL is the Service of deploy/service.yaml.
	defaultControllerURL = "kube://gpuscaler-system/gpuscaler:8080"
	// recallPatience is how long a person is kept waiting for a controller that may not be there.
	recallPatience = 3 * time.Second
	// maxMemory bounds the reply: a target takes some kilobytes.
	maxMemory = 64 << 20
)

// controllerURLProblem returns what is wrong with --controller-url, nil if nothing is.
func controllerURLProblem(url string) error {
	endpoint, err := metrics.ParseURL(url)
	switch {
	case err != nil:
		return fmt.Errorf("--controller-url: %w", err)
	case endpoint.Kind != metrics.KubeEndpoint && endpoint.Kind != metrics.NoEndpoint:
		return fmt.Errorf("--controller-url %q is not allowed: give kube://NAMESPACE/SERVICE:PORT, or nothing to ask no controller", url)
	}
	return nil
}

// errNoController says that there is no running controller to ask.
var errNoController = errors.New("--controller-url is empty")

// askController gets a path of the running controller, through the API server's service proxy and with the caller's rights.
func askController(ctx context.Context, c *cluster, url, path string) ([]byte, error) {
	endpoint, err := metrics.ParseURL(url)
	if err != nil {
		return nil, err
	}
	if endpoint.Kind != metrics.KubeEndpoint {
		return nil, errNoController
	}
	ctx, cancel := context.WithTimeout(ctx, recallPatience)
	defer cancel()
	path, query, _ := strings.Cut(path, "?")
	request := c.client.CoreV1().RESTClient().Get().AbsPath(endpoint.ProxyPath(), path).MaxRetries(0)
	if values, err := neturl.ParseQuery(query); err == nil {
		for key := range values {
			request = request.Param(key, values.Get(key))
		}
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking the controller at %s: %w", url, err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxMemory+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the controller's reply: %w", err)
	case len(text) > maxMemory:
		return nil, fmt.Errorf("the controller's reply is over %d bytes", maxMemory)
	}
	return text, nil
}

// recall asks the running controller what it remembers.
func recall(ctx context.Context, c *cluster, url string) (controller.Memory, error) {
	var memory controller.Memory
	text, err := askController(ctx, c, url, "api/v1/states")
	if err != nil {
		return memory, err
	}
	if err := json.Unmarshal(text, &memory); err != nil {
		return controller.Memory{}, fmt.Errorf("reading the controller's reply: %w", err)
	}
	if memory.Time.IsZero() {
		return controller.Memory{}, fmt.Errorf("what answers at %s has made no decision yet", url)
	}
	return memory, nil
}
