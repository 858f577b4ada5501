// Package gpuscaler builds the program and runs it as its users do.
package gpuscaler

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build builds the program as the Makefile does, from the tree at root into a folder, and returns its path.
func Build(ctx context.Context, root, dir string) (string, error) {
	return build(ctx, root, filepath.Join(dir, "gpuscaler"), "CGO_ENABLED=0")
}

// BuildRace builds it with the race detector, which needs a C compiler. It is several times slower, and prints what it finds.
func BuildRace(ctx context.Context, root, dir string) (string, error) {
	return build(ctx, root, filepath.Join(dir, "gpuscaler-race"), "CGO_ENABLED=1", "-race")
}

func build(ctx context.Context, root, path, cgo string, flags ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, flags...), "-o", path, "./cmd/gpuscaler")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
}

// Process is a running program.
type Process struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{}
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// Run runs a program until the test ends. Of a test that fails it shows what was printed.
func Run(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	p := &Process{done: make(chan struct{})}
	// It outlives the test's context, which ends before the cleanup that stops it in order.
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), path, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("output of gpuscaler %s:\n%s", strings.Join(args, " "), p.Output())
		}
	})
	return p
}

// Output is what has been printed so far.
func (p *Process) Output() string {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return p.out.text.String()
}

// Stop ends the process as a kubelet does, and wants it to end in order.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.Resume()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Error("the program did not end within 20 s after SIGTERM")
		p.Kill()
	}
}

// Suspend stops the process as a machine does that sleeps: it goes on with Resume, or when it is ended.
func (p *Process) Suspend() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets the process go on after Suspend.
func (p *Process) Resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// Ended tells whether the process has ended, and with which exit code: -1 if a signal has ended it.
func (p *Process) Ended() (code int, ended bool) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// Kill ends the process as kill -9 does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Dump ends the process and returns what each of its goroutines was doing.
func (p *Process) Dump() string {
	before := len(p.Output())
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	<-p.done
	return p.Output()[before:]
}

// Resident is how much memory the process takes, in bytes; 0 on a system that does not tell in /proc.
func (p *Process) Resident(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Log("not looked up on this system:", err)
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	resident := pages * int64(os.Getpagesize())
	t.Logf("resident: %d MiB", resident>>20)
	return resident
}

// Peak is the most memory that the process has ever taken, in bytes; 0 on a system that does not tell in /proc.
func (p *Process) Peak(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Log("not looked up on this system:", err)
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatalf("looking up the peak of memory: %v", err)
	}
	t.Logf("peak of memory: %d MiB", kilobytes>>10)
	return kilobytes << 10
}

// FreeAddress returns a loopback address on which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
