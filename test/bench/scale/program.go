package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// program is a running gpuscaler.
type program struct {
	*process
	listen  string
	log     string
	started time.Time
}

// startProgram runs the program as the service account that deploy/ sets up, with an election of a leader and a checkpoint as in a cluster.
func (s *stage) startProgram(ctx context.Context, prometheus string, interval time.Duration) (*program, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &program{listen: l.Addr().String()}
	if err := l.Close(); err != nil {
		return nil, err
	}
	log, err := os.CreateTemp(s.bed.Dir(), "gpuscaler-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.log = log.Name()
	// It outlives the context, which an interrupt ends: stop ends it in order.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.program, "run", "--kubeconfig", s.kubeconfig, "--prometheus-url", prometheus,
		"--leader-elect", "--interval", interval.String(), "--listen", p.listen)
	cmd.Stdout, cmd.Stderr = log, log
	p.started = time.Now()
	if p.process, err = startProcess(cmd); err != nil {
		return nil, fmt.Errorf("starting the program: %w", err)
	}
	return p, nil
}

// maxStart is how long the first decision is waited for.
const maxStart = 5 * time.Minute

// firstDecision waits until the program has decided about a Deployment, with its pods and what they read, and returns how long after its
// start that was.
func (p *program) firstDecision(ctx context.Context, d int) (time.Duration, error) {
	url := fmt.Sprintf("http://%s/api/v1/workloads/%s/%s", p.listen, namespaceName(d), deploymentName(d))
	for {
		decided, err := decided(ctx, url)
		if decided {
			return time.Since(p.started), nil
		}
		select {
		case <-p.ended:
			return 0, fmt.Errorf("the program has ended: %w\n%s", errors.Join(p.err, err), p.tail())
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(p.started) > maxStart {
			return 0, fmt.Errorf("no decision within %v: %w\n%s", maxStart, err, p.tail())
		}
	}
}

// decided reports whether a workload's page tells of a decision with data.
func decided(ctx context.Context, url string) (bool, error) {
	text, err := get(ctx, url)
	if err != nil {
		return false, err
	}
	var w struct {
		Reason string
		Pods   struct{ Ready int }
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return false, err
	}
	if w.Reason != "WithinTolerance" || w.Pods.Ready != podsEach {
		return false, fmt.Errorf("it tells %q of %d ready pods", w.Reason, w.Pods.Ready)
	}
	return true, nil
}

// ticks is what the program tells of its ticks.
type ticks struct {
	count, missed int
	// blind are decisions that were made without data.
	blind int
	// sum is how long all of them took.
	sum time.Duration
}

// ticks asks the program.
func (p *program) ticks(ctx context.Context) (ticks, error) {
	page, err := open(ctx, "http://"+p.listen+"/metrics")
	if err != nil {
		return ticks{}, err
	}
	defer func() { _ = page.Close() }()
	const (
		count, sum = "gpuscaler_tick_duration_seconds_count", "gpuscaler_tick_duration_seconds_sum"
		missed     = "gpuscaler_ticks_missed_total"
		blind      = `gpuscaler_decisions_total{reason="NoData"}`
	)
	found, err := metricsOf(page, count, sum, missed, blind)
	return ticks{
		count: int(found[count]), missed: int(found[missed]), blind: int(found[blind]), sum: time.Duration(found[sum] * float64(time.Second)),
	}, err
}

// tail is the end of what the program has printed.
func (p *program) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// stop ends the program as a kubelet does.
func (p *program) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.wait(); err != nil {
		return fmt.Errorf("the program ended with %w\n%s", err, p.tail())
	}
	return nil
}

// buildProgram builds the program of the tree at root.
func buildProgram(ctx context.Context, root, dir string) (string, error) {
	path := filepath.Join(dir, "gpuscaler")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/gpuscaler")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
}
