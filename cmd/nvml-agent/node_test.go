//go:build linux && cgo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// builtIn is the folder in which built builds, once it has.
var builtIn string

// built builds the program, once, and returns where.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nvml-agent-test")
	if err != nil {
		return "", err
	}
	builtIn = dir
	// As the Makefile builds it. Its compiler must not see other files than its own in TMPDIR: see there.
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "nvml-agent"), ".")
	private := filepath.Join(dir, "tmp")
	if err := os.Mkdir(private, 0o700); err != nil {
		return "", err
	}
	build.Env = append(os.Environ(), "CGO_ENABLED=1", "TMPDIR="+private)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the agent: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn) // what stays is in the folder for temporary files
	}
	os.Exit(code)
}

// node is a machine on which the agent runs: a driver, a kubelet, processes.
type node struct {
	t       *testing.T
	dir     string
	program string
	library string

	mu    sync.Mutex
	state map[string]string

	kubelet *grpc.Server
	pods    *kubelet
}

// newNode makes a machine whose driver has readings, see testdata/libnvidia-ml.c.
func newNode(t *testing.T, readings ...map[string]string) *node {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc to build the stand-in for the driver's library with")
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: t.TempDir(), program: filepath.Join(dir, "nvml-agent"), state: map[string]string{}}
	n.library = n.build()
	for _, some := range readings {
		maps.Copy(n.state, some)
	}
	n.write()
	return n
}

// build builds the stand-in for the driver's library.
func (n *node) build(flags ...string) string {
	n.t.Helper()
	module, err := exec.CommandContext(n.t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml").Output()
	if err != nil {
		n.t.Fatal(err)
	}
	library := filepath.Join(n.dir, "libnvidia-ml"+strings.Join(flags, "")+".so.1")
	args := append([]string{"-shared", "-fPIC", "-Wall", "-Werror", "-I", filepath.Join(strings.TrimSpace(string(module)), "pkg", "nvml"), "-o", library}, flags...)
	out, err := exec.CommandContext(n.t.Context(), "gcc", append(args, filepath.Join("testdata", "libnvidia-ml.c"))...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("building the stand-in: %v\n%s", err, out)
	}
	return library
}

// set changes a reading of the driver.
func (n *node) set(key, value string) {
	n.mu.Lock()
	n.state[key] = value
	n.mu.Unlock()
	n.write()
}

// write hands the readings to the driver, all at once.
func (n *node) write() {
	n.mu.Lock()
	defer n.mu.Unlock()
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(n.state)) {
		fmt.Fprintf(&lines, "%s=%s\n", key, n.state[key])
	}
	next := filepath.Join(n.dir, "next")
	if err := errors.Join(os.WriteFile(next, []byte(lines.String()), 0o644), os.Rename(next, filepath.Join(n.dir, "state"))); err != nil {
		n.t.Error(err)
	}
}

// process starts a process in the cgroup of a pod.
func (n *node) process(pid int, uid string) {
	dir := filepath.Join(n.dir, "proc", strconv.Itoa(pid))
	cgroup := "0::/kubepods.slice/kubepods-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice/cri-containerd-0.scope\n"
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "cgroup"), []byte(cgroup), 0o644)); err != nil {
		n.t.Fatal(err)
	}
}

// logs makes a folder for a pod's logs.
func (n *node) logs(folder string) {
	if err := os.MkdirAll(filepath.Join(n.dir, "pods", folder), 0o755); err != nil {
		n.t.Fatal(err)
	}
}

// kubelet tells which pods hold which devices.
type kubelet struct {
	podresources.UnimplementedPodResourcesListerServer
	mu   sync.Mutex
	pods map[string]string // device ids by pod
}

// List is its answer.
func (k *kubelet) List(context.Context, *podresources.ListPodResourcesRequest) (*podresources.ListPodResourcesResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	answer := &podresources.ListPodResourcesResponse{}
	for pod, id := range k.pods {
		answer.PodResources = append(answer.PodResources, &podresources.PodResources{
			Namespace: "ml", Name: pod,
			Containers: []*podresources.ContainerResources{{
				Name: "server", Devices: []*podresources.ContainerDevices{{ResourceName: "nvidia.com/gpu", DeviceIds: []string{id}}},
			}},
		})
	}
	return answer, nil
}

// hold gives devices to pods. The first time the kubelet is started.
func (n *node) hold(pods map[string]string) {
	n.t.Helper()
	if n.pods == nil {
		listener, err := new(net.ListenConfig).Listen(n.t.Context(), "unix", n.socket())
		if err != nil {
			n.t.Fatal(err)
		}
		n.pods, n.kubelet = &kubelet{}, grpc.NewServer()
		podresources.RegisterPodResourcesListerServer(n.kubelet, n.pods)
		go func() { _ = n.kubelet.Serve(listener) }() // it ends when it is stopped
		n.t.Cleanup(n.kubelet.Stop)
	}
	n.pods.mu.Lock()
	defer n.pods.mu.Unlock()
	n.pods.pods = pods
}

func (n *node) socket() string { return filepath.Join(n.dir, "kubelet.sock") }

// cmd prepares running the program.
func (n *node) cmd(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(n.t.Context()), n.program, append(args, "--nvml-library", n.library)...)
	cmd.Env = append(os.Environ(), "FAKE_NVML="+filepath.Join(n.dir, "state"))
	return cmd
}

// command runs the program and returns what it prints.
func (n *node) command(args ...string) string {
	n.t.Helper()
	cmd := n.cmd(args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil || errOut.Len() > 0 {
		n.t.Fatalf("running %v: %v\n%s", args, err, &errOut)
	}
	return out.String()
}

// agent is the program, running.
type agent struct {
	t   *testing.T
	cmd *exec.Cmd
	url string
	log *text
}

// text is what a program writes, to be read meanwhile.
type text struct {
	mu      sync.Mutex
	written bytes.Buffer
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String()
}

// start starts the agent.
func (n *node) start() *agent {
	n.t.Helper()
	a := &agent{t: n.t, log: &text{}}
	a.cmd = n.cmd("--listen", "127.0.0.1:0", "--pod-resources-socket", n.socket(),
		"--proc", filepath.Join(n.dir, "proc"), "--pod-logs", filepath.Join(n.dir, "pods"))
	a.cmd.Stderr = a.log
	if err := a.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if a.cmd.ProcessState == nil {
			_ = a.cmd.Process.Kill() // it has ended by itself in the meantime
			_ = a.cmd.Wait()
		}
		if n.t.Failed() {
			n.t.Logf("the agent logged\n%s", a.log)
		}
	})
	until(n.t, "it serves", func() bool {
		_, after, found := strings.Cut(a.log.String(), `Serving {"address": "`)
		address, _, _ := strings.Cut(after, `"`)
		a.url = "http://" + address
		return found
	})
	return a
}

// until waits for something to become true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not true: %s", what)
		}
	}
}

// get reads a page.
func (a *agent) get(path string) string {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(page)
}

// want waits until the metrics have values in the series that have labels: "name window" to its value, * for any and
// empty for none.
func (a *agent) want(labels string, values map[string]string) {
	a.t.Helper()
	a.wantWhile(func() {}, labels, values)
}

// wantWhile is want while something is done over and over.
func (a *agent) wantWhile(do func(), labels string, values map[string]string) {
	a.t.Helper()
	until(a.t, fmt.Sprintf("%s is %v", labels, values), func() bool {
		do()
		page := a.get("/metrics")
		for name, want := range values {
			got, found := valueIn(page, name, labels)
			if found != (want != "") || found && want != "*" && got != want {
				return false
			}
		}
		return true
	})
}

// valueIn finds the value of a series in a page of metrics.
func valueIn(page, name, labels string) (string, bool) {
	name, window, windowed := strings.Cut(name, " ")
	for line := range strings.Lines(page) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		metric, its, labelled := strings.Cut(series, "{")
		if !labelled {
			metric, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if metric == name && strings.Contains(its, labels) && (!windowed || strings.Contains(its, `window="`+window+`"`)) {
			if number, err := strconv.ParseFloat(value, 64); err == nil {
				value = strconv.FormatFloat(number, 'g', 6, 64)
			}
			return value, true
		}
	}
	return "", false
}

// end ends the agent and returns what it logged.
func (a *agent) end(signal os.Signal) string {
	a.t.Helper()
	if err := a.cmd.Process.Signal(signal); err != nil {
		a.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			a.t.Errorf("after %v it ends with %v", signal, err)
		}
	case <-time.After(10 * time.Second):
		a.t.Fatalf("it has not ended 10 s after %v", signal)
	}
	return a.log.String()
}
