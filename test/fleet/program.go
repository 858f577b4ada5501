package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// AgentProgram is the agent itself. It runs as a child process on a node whose driver and kubelet are simulated.
type AgentProgram struct {
	// Path is the program.
	Path string
	// Library is what stands in for libnvidia-ml.so.1.
	Library string
}

// BuildAgent builds the agent, as the Makefile does, and the library from the sources under root into a folder. It needs gcc.
func BuildAgent(ctx context.Context, root, dir string) (*AgentProgram, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("building the agent: %w", err)
	}
	p := &AgentProgram{Path: filepath.Join(dir, "nvml-agent"), Library: filepath.Join(dir, "libnvidia-ml.so.1")}
	if _, err := command(ctx, root, "go", "build", "-trimpath", "-o", p.Path, "./cmd/nvml-agent"); err != nil {
		return nil, fmt.Errorf("building the agent: %w", err)
	}
	headers, err := command(ctx, root, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml")
	if err != nil {
		return nil, fmt.Errorf("looking for nvml.h: %w", err)
	}
	_, err = command(ctx, root, "gcc", "-shared", "-fPIC", "-I", filepath.Join(headers, "pkg/nvml"), "-o", p.Library,
		"cmd/nvml-agent/testdata/libnvidia-ml.c")
	if err != nil {
		return nil, fmt.Errorf("building the library: %w", err)
	}
	return p, nil
}

// command returns what a command prints.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// agentProcess is the agent of a pod as a process of its own. The library tells it what the fleet's GPUs read.
type agentProcess struct {
	program AgentProgram
	run     *podRun
	at      string
	hostPID bool

	mu    sync.Mutex
	end   context.CancelFunc // nil while it does not run
	ended sync.WaitGroup
}

// listen starts the process and waits until it answers.
func (p *agentProcess) listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		return nil
	}
	d, err := newDriver(p.run)
	if err != nil {
		return fmt.Errorf("simulating a driver: %w", err)
	}
	ctx, cancel := context.WithCancel(p.run.ctx)
	cmd, err := p.start(ctx, d)
	if err != nil {
		cancel()
		d.remove()
		return fmt.Errorf("starting %s: %w", p.program.Path, err)
	}
	p.end = cancel
	p.ended.Go(func() {
		defer d.remove()
		var following sync.WaitGroup
		following.Go(func() { d.follow(ctx) })
		defer following.Wait()
		defer cancel()
		if err := cmd.Wait(); ctx.Err() == nil {
			p.run.fleet.opts.Log("the agent of pod %s has ended: %v", p.run.name, err)
		}
	})
	return p.answers(ctx)
}

func (p *agentProcess) start(ctx context.Context, d *driver) (*exec.Cmd, error) {
	kubelet, err := p.run.fleet.PodResources(p.run.node.name)
	if err != nil {
		return nil, err
	}
	args := []string{"--listen", p.at, "--nvml-library", p.program.Library, "--pod-resources-socket", kubelet, "--pod-logs", d.logs()}
	if p.hostPID {
		args = append(args, "--proc", d.proc())
	}
	cmd := exec.CommandContext(ctx, p.program.Path, args...)
	cmd.Env = append(os.Environ(), "FAKE_NVML="+d.readings())
	cmd.Stderr = logged{p.run}
	// Should this process be killed, the addresses stay reserved as long as the child lives.
	claim, err := p.run.fleet.claim.File()
	if err != nil {
		return nil, err
	}
	defer claim.Close()
	cmd.ExtraFiles = []*os.File{claim}
	return cmd, cmd.Start()
}

// answers waits until the process listens.
func (p *agentProcess) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.at)
		if err == nil {
			return conn.Close()
		}
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("waiting for %s: %w", p.at, err)
		}
	}
}

// stop kills the process.
func (p *agentProcess) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		p.end()
		p.ended.Wait()
		p.end = nil
	}
}

// logged passes on what a pod's process says.
type logged struct{ run *podRun }

func (l logged) Write(text []byte) (int, error) {
	l.run.fleet.opts.Log("pod %s: %s", l.run.name, strings.TrimSpace(string(text)))
	return len(text), nil
}
