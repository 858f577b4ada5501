package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// program is the running gpuscaler.
type program struct {
	cmd    *exec.Cmd
	log    string
	listen string
	ended  chan struct{} // closed when it has ended
}

// startProgram runs `gpuscaler run` as the service account that deploy/ sets up.
func (s *stage) startProgram(ctx context.Context, path string) (*program, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:8080") // where people expect the dashboard
	if err != nil {
		l, err = config.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	p := &program{listen: l.Addr().String(), log: s.bed.Dir() + "/gpuscaler.log", ended: make(chan struct{})}
	if err := l.Close(); err != nil {
		return nil, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	// It outlives the context, which Ctrl-C ends: stop ends it in order.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), path, "run", "--kubeconfig", s.controller, "--prometheus-url", s.prometheus.URL(), "--interval", interval.String(), "--listen", p.listen)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Ctrl-C at the terminal is for the demo, which then ends the program in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the program: %w", err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// stop ends the program.
func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// report is what the program tells of one workload, as much of it as is shown.
type report struct {
	Namespace, Name  string
	Current, Desired int
	Reason, Message  string
	Time             time.Time
	Signals          map[string]struct {
		Value  *float64
		Target float64
	}
	Pods struct{ Ready, Loading, Unschedulable int }
}

// workloads asks the program what it decided last.
func (p *program) workloads(ctx context.Context) ([]report, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.listen+"/api/v1/workloads", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return nil, fmt.Errorf("the program answers %s: %s", response.Status, text)
	}
	var reply struct{ Workloads []report }
	return reply.Workloads, json.NewDecoder(response.Body).Decode(&reply)
}
