package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		return unanswered(url, err)
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

// plainToSecure is what Go's HTTPS server answers to an HTTP request.
const plainToSecure = "Client sent an HTTP request to an HTTPS server"

// unanswered says why the controller did not answer, and what to do about it where that is known.
func unanswered(url string, err error) error {
	if refused := apierrors.APIStatus(nil); errors.As(err, &refused) && refusedByGuard(refused.Status()) {
		return fmt.Errorf("asking the controller at %s: this is its --secure-listen, which wants a bearer token, and the API server's service proxy passes none on; "+
			"give the port of its --listen, if it has one", url)
	}
	return fmt.Errorf("asking the controller at %s: %w", url, err)
}

// refusedByGuard reports whether an answer is that of a server which wants TLS or a token. The API server's own has no causes.
func refusedByGuard(status metav1.Status) bool {
	if status.Details == nil {
		return false
	}
	return slices.ContainsFunc(status.Details.Causes, func(c metav1.StatusCause) bool {
		return strings.Contains(c.Message, plainToSecure) || strings.Contains(c.Message, "a bearer token is required")
	})
}
