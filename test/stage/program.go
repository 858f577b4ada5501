package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/install"
)

// Process is a running gpuscaler.
type Process struct {
	*gpuscaler.Process
	Listen string
}

// Start runs the program until the test ends. It is told the kubeconfig and, unless the arguments say otherwise, a free address to
// listen on.
func Start(t testing.TB, kubeconfig string, args ...string) *Process {
	t.Helper()
	return StartAt(t, kubeconfig, "--listen", gpuscaler.FreeAddress(t), args...)
}

// StartAt runs the program until the test ends. It is told the kubeconfig and, by a flag, the address to listen on.
func StartAt(t testing.TB, kubeconfig, flag, address string, args ...string) *Process {
	t.Helper()
	return StartProgram(t, Cluster.Program, kubeconfig, flag, address, args...)
}

// StartProgram does so with another program than that of this tree.
func StartProgram(t testing.TB, program, kubeconfig, flag, address string, args ...string) *Process {
	t.Helper()
	args = append(args, "--kubeconfig", kubeconfig, flag, address)
	return &Process{gpuscaler.Run(t, program, args...), address}
}

// RaceProgram builds the program with the race detector and returns its path. Without a C compiler the test is left out.
func RaceProgram(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("the race detector needs gcc:", err)
	}
	path, err := gpuscaler.BuildRace(t.Context(), root, Cluster.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Runs starts a controller for one namespace under the rights that deploy/ ships, with a tick each second.
func Runs(t testing.TB, namespace, prometheus string, args ...string) *Process {
	t.Helper()
	return Start(t, Cluster.Config, append([]string{
		"run", "--interval", "1s", "--watch-namespace", namespace, "--prometheus-url", prometheus, "--leader-elect=false",
	}, args...)...)
}

// Workload is what the program tells of one workload, as much of it as tests look at.
type Workload struct {
	Namespace, Name                                    string
	Current, Desired, Recommended, Guarded, Stabilized int
	Reason, Message                                    string
	Time                                               time.Time
	Notes                                              []struct{ Reason, Text string }
	Signals                                            map[string]struct {
		Value          *float64
		Target         float64
		Source, Detail string
	}
}

// Workload asks the program's API about a workload.
func (p *Process) Workload(namespace, name string) (Workload, error) {
	var w Workload
	text, err := Get("http://" + p.Listen + "/api/v1/workloads/" + namespace + "/" + name)
	if err != nil {
		return w, err
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return w, fmt.Errorf("%w in %s", err, text)
	}
	return w, nil
}

// Get fetches a page that must answer 200.
func Get(url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return text, err
}

// Command runs the program to its end and returns what it printed.
func Command(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return CommandOf(t, Cluster.Program, args...)
}

// CommandOf does so with another program than that of this tree.
func CommandOf(t testing.TB, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Elected starts a controller that takes part in the election of a leader.
func Elected(t testing.TB, ns, prometheus string) *Process {
	t.Helper()
	return Start(t, Cluster.Config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", prometheus, "--leader-elect")
}

// Leads tells whether a process says that it is the leader.
func (p *Process) Leads() bool {
	text, err := Get("http://" + p.Listen + "/metrics")
	return err == nil && strings.Contains(string(text), "\ngpuscaler_leader 1")
}

// Proxied returns a way to the API server that can be cut, and a kubeconfig of the controller that goes through it.
func Proxied(t testing.TB) (*bed.Proxy, string) {
	t.Helper()
	proxy, err := Cluster.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return proxy, through(t, proxy.Through)
}

// Gatewayed returns a way to the API server on which single requests can be spoiled, and a kubeconfig of the controller that goes through
// it.
func Gatewayed(t testing.TB) (*bed.Gateway, string) {
	t.Helper()
	gateway, err := Cluster.NewGateway()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	return gateway, through(t, gateway.Through)
}

// through writes a kubeconfig of the controller that goes another way.
func through(t testing.TB, way func(*rest.Config) *rest.Config) string {
	t.Helper()
	config, err := Cluster.ServiceAccountConfig(t.Context(), install.Namespace, install.ServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/kubeconfig"
	if err := bed.WriteKubeconfig(path, way(config)); err != nil {
		t.Fatal(err)
	}
	return path
}
