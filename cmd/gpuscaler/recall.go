package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
)

const (
	// defaultControllerURL is the Service of deploy/kustomize/base.
	defaultControllerURL = "kube://gpuscaler-system/gpuscaler:8080"
	// recallPatience is how long a person is kept waiting for a controller that may not be there.
	recallPatience = 3 * time.Second
	// maxMemory bounds the reply: a target takes some kilobytes.
	maxMemory = 64 << 20
)

// addControllerURL adds the flag that says where the running controller is.
func addControllerURL(flags *pflag.FlagSet, url *string) {
	flags.StringVar(url, "controller-url", defaultControllerURL, "`URL` of the running controller, as kube://NAMESPACE/SERVICE:PORT; empty to ask none")
}

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

// recall asks the running controller what it remembers.
func recall(ctx context.Context, c *cluster, url string) (controller.Memory, error) {
	var memory controller.Memory
	if err := askController(ctx, c, url, nil, &memory, "api/v1/states"); err != nil {
		return controller.Memory{}, err
	}
	if memory.Time.IsZero() {
		return controller.Memory{}, fmt.Errorf("what answers at %s has made no decision yet", url)
	}
	return memory, nil
}

// askController asks the running controller, through the API server's service proxy and with the caller's rights.
func askController(ctx context.Context, c *cluster, url string, params map[string]string, reply any, path ...string) error {
	endpoint, err := metrics.ParseURL(url)
	if err != nil {
		return err
	}
	if endpoint.Kind != metrics.KubeEndpoint {
		return errNoController
	}
	ctx, cancel := context.WithTimeout(ctx, recallPatience)
	defer cancel()
	request := c.client.CoreV1().RESTClient().Get().AbsPath(append([]string{endpoint.ProxyPath()}, path...)...).MaxRetries(0)
	for name, value := range params {
		request.Param(name, value)
	}
	body, err := request.Stream(ctx)
	if err != nil {
		return fmt.Errorf("asking the controller at %s: %w", url, err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxMemory+1))
	if err != nil {
		return fmt.Errorf("reading the controller's reply: %w", err)
	}
	if len(text) > maxMemory {
		return fmt.Errorf("the controller's reply is over %d bytes", maxMemory)
	}
	if err := json.Unmarshal(text, reply); err != nil {
		return fmt.Errorf("reading the controller's reply: %w", err)
	}
	return nil
}
