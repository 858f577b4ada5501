package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	// defaultControllerURL is the Service of deploy/kustomize/base.
	defaultControllerURL = "kube://gpuscaler-system/gpuscaler:8080"
	// recallPatience is how long a person is kept waiting for a controller that may not be there.
	recallPatience = 3 * time.Second
	// maxMemory bounds the reply: a target takes some kilobytes.
	maxMemory = 64 << 20
)

// addControllerURL adds the flag that says where the running controller is.
func addControllerURL(flags *pflag.FlagSet, url *string) {
	flags.StringVar(url, "controller-url", defaultControllerURL, "`URL` of the running controller, as kube://NAMESPACE/SERVICE:PORT, or as http://localhost:PORT of a kubectl port-forward; empty to ask none")
}

// controllerURLProblem returns what is wrong with --controller-url, nil if nothing is.
func controllerURLProblem(url string) error {
	endpoint, err := metrics.ParseURL(url)
	switch {
	case err != nil:
		return fmt.Errorf("--controller-url: %w", err)
	case endpoint.Kind == metrics.KubeEndpoint, endpoint.Kind == metrics.NoEndpoint, local(endpoint):
		return nil
	}
	return fmt.Errorf("--controller-url %q is not allowed: give kube://NAMESPACE/SERVICE:PORT, http://localhost:PORT, or nothing to ask no controller", url)
}

// local reports whether a URL is one of this machine, where kubectl port-forward listens.
func local(e metrics.Endpoint) bool {
	u, err := url.Parse(e.URL)
	if e.Kind != metrics.HTTPEndpoint || err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
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

// askController asks the running controller, through the API server's service proxy and with the caller's rights, or on this machine.
func askController(ctx context.Context, c *cluster, address string, params map[string]string, reply any, path ...string) error {
	endpoint, err := metrics.ParseURL(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, recallPatience)
	defer cancel()
	query := url.Values{}
	for name, value := range params {
		query.Set(name, value)
	}
	var body io.ReadCloser
	switch endpoint.Kind {
	case metrics.KubeEndpoint:
		request := c.client.CoreV1().RESTClient().Get().AbsPath(append([]string{endpoint.ProxyPath()}, path...)...).MaxRetries(0)
		for name := range query {
			request.Param(name, query.Get(name))
		}
		body, err = request.Stream(ctx)
	case metrics.HTTPEndpoint:
		body, err = fetch(ctx, endpoint.URL+"/"+strings.Join(path, "/")+"?"+query.Encode())
	default:
		return errNoController
	}
	if err != nil {
		return unanswered(address, err)
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

// fetch asks a server of this machine. It needs no credentials: whoever forwards its port was allowed to by the API server.
func fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return nil, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
}

// plainToSecure is what Go's HTTPS server answers to an HTTP request.
const plainToSecure = "Client sent an HTTP request to an HTTPS server"

// unanswered says why the controller did not answer, and what to do about it where that is known.
func unanswered(address string, err error) error {
	if refused := apierrors.APIStatus(nil); errors.As(err, &refused) && refusedByGuard(refused.Status()) {
		return fmt.Errorf("asking the controller at %s: this is its --secure-listen, which wants a bearer token, and the API server's service proxy passes none on; "+
			"give the port of its --listen, or forward that with kubectl port-forward and give http://localhost:PORT", address)
	}
	if apierrors.IsServiceUnavailable(err) && strings.Contains(err.Error(), "no service port ") {
		return fmt.Errorf("asking the controller at %s: %w: if it serves others with TLS only, forward its --listen with kubectl port-forward and give --controller-url http://localhost:PORT", address, err)
	}
	return fmt.Errorf("asking the controller at %s: %w", address, err)
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
