package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
)

// process is a running gpuscaler.
type process struct {
	*gpuscaler.Process
	listen string
}

// start runs the program until the test ends. It is told the kubeconfig and, unless the arguments say otherwise, a free address to
// listen on.
func start(t testing.TB, kubeconfig string, args ...string) *process {
	t.Helper()
	return startAt(t, kubeconfig, "--listen", gpuscaler.FreeAddress(t), args...)
}

// startAt runs the program until the test ends. It is told the kubeconfig and, by a flag, the address to listen on.
func startAt(t testing.TB, kubeconfig, flag, address string, args ...string) *process {
	t.Helper()
	return startProgram(t, cluster.program, kubeconfig, flag, address, args...)
}

// startProgram does so with another program than that of this tree.
func startProgram(t testing.TB, program, kubeconfig, flag, address string, args ...string) *process {
	t.Helper()
	args = append(args, "--kubeconfig", kubeconfig, flag, address)
	return &process{gpuscaler.Run(t, program, args...), address}
}

// runs starts a controller for one namespace under the rights that deploy/ ships, with a tick each second.
func runs(t testing.TB, namespace, prometheus string, args ...string) *process {
	t.Helper()
	return start(t, cluster.config, append([]string{
		"run", "--interval", "1s", "--watch-namespace", namespace, "--prometheus-url", prometheus, "--leader-elect=false",
	}, args...)...)
}

// workload is what the program tells of one workload, as much of it as tests look at.
type workload struct {
	Namespace, Name                                    string
	Current, Desired, Recommended, Guarded, Stabilized int
	Reason, Message                                    string
	Notes                                              []struct{ Reason, Text string }
	Signals                                            map[string]struct {
		Value          *float64
		Target         float64
		Source, Detail string
	}
}

// asks the program's API about a workload.
func (p *process) workload(namespace, name string) (workload, error) {
	var w workload
	text, err := get("http://" + p.listen + "/api/v1/workloads/" + namespace + "/" + name)
	if err != nil {
		return w, err
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return w, fmt.Errorf("%w in %s", err, text)
	}
	return w, nil
}

// get fetches a page that must answer 200.
func get(url string) ([]byte, error) {
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

// command runs the program to its end and returns what it printed.
func command(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, cluster.program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
