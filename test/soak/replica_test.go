package soak

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/gpuscaler"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// replica is one of the processes that take part in the election, on a way to the API server of its own, and is started again when it ends.
type replica struct {
	t          testing.TB
	proxy      *bed.Proxy
	program    string
	kubeconfig string
	args       []string

	mu      sync.Mutex
	process *stage.Process
}

// newReplica starts one.
func newReplica(t testing.TB, program string, args ...string) *replica {
	t.Helper()
	proxy, kubeconfig := stage.Proxied(t)
	r := &replica{t: t, proxy: proxy, program: program, kubeconfig: kubeconfig, args: args}
	r.start()
	return r
}

// start starts its process.
func (r *replica) start() {
	r.process = stage.StartProgram(r.t, r.program, r.kubeconfig, "--listen", gpuscaler.FreeAddress(r.t), r.args...)
}

// running returns its process.
func (r *replica) running() *stage.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process
}

// restart ends the process and starts another, as a kubelet does.
func (r *replica) restart(end func(*stage.Process)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ended := r.process.Ended(); !ended {
		end(r.process)
	}
	if err := r.sound(); err != nil {
		r.t.Error(err)
	}
	r.start()
}

// keep starts the process again if it has ended by itself, which is in order only if it has lost its lease.
func (r *replica) keep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	code, ended := r.process.Ended()
	if !ended {
		return
	}
	if err := r.sound(); err != nil {
		r.t.Error(err)
	}
	if !strings.Contains(r.process.Output(), "the lease was lost") {
		r.t.Errorf("a process ended by itself with code %d:\n%s", code, tail(r.process.Output()))
	}
	r.start()
}

// sound says what is wrong with what the process has printed.
func (r *replica) sound() error {
	out := r.process.Output()
	for _, sign := range []string{"WARNING: DATA RACE", "panic", "fatal error:"} {
		if i := strings.Index(out, sign); i >= 0 {
			return fmt.Errorf("a process printed %q:\n%s", sign, tail(out[:min(len(out), i+8000)]))
		}
	}
	if code, ended := r.process.Ended(); ended && code == raceCode {
		return errors.New("a process ended with the exit code of the race detector")
	}
	return nil
}

// tail is the end of a long text.
func tail(text string) string { return text[max(0, len(text)-10_000):] }

// raceCode is what a process exits with of which the race detector found anything.
const raceCode = 66

// leaders are those that say that they lead.
func leaders(replicas []*replica) (list []*replica) {
	for _, r := range replicas {
		if r.running().Leads() {
			list = append(list, r)
		}
	}
	return list
}
