package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// roleVariable is the environment variable that makes this program one of its roles; its arguments are those of the role.
const roleVariable = "GPUSCALER_BENCH_ROLE"

// role is what a process of this program does instead of measuring. It says by its first line of output that it is ready, obeys the
// lines of its input, and ends with it: no process outlives the one that measures.
type role func(args []string, in *json.Decoder, out *json.Encoder) error

var roles = map[string]role{
	"cluster": runCluster, "autoscaler": runAutoscaler, "adapter": runAdapter, "prometheus": runPrometheus,
}

// playRole plays the role that the environment names, if it names one.
func playRole() (code int, played bool) {
	name := os.Getenv(roleVariable)
	if name == "" {
		return 0, false
	}
	play, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "%s is %q, which is no role\n", roleVariable, name)
		return 2, true
	}
	if err := play(os.Args[1:], json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1, true
	}
	return 0, true
}

// obey hands commands to a role until its input ends. Those for which act returns true are answered.
func obey[C any](in *json.Decoder, out *json.Encoder, act func(C) (answer bool, err error)) error {
	for {
		var command C
		if err := in.Decode(&command); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a command: %w", err)
		}
		answer, err := act(command)
		if err != nil {
			return err
		}
		if answer {
			if err := out.Encode(struct{}{}); err != nil {
				return err
			}
		}
	}
}

// child is a process that this one started.
type child struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	log  string
}

// startRole starts this program in a role, with a log file in dir, and waits until it is ready. What it says then goes into ready.
func startRole(ctx context.Context, dir, name string, ready any, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := newChild(ctx, dir, name, self, args...)
	c.cmd.Env = append(os.Environ(), roleVariable+"="+name)
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.start(); err != nil {
		return nil, err
	}
	if err := c.out.Decode(ready); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the role %s: %w", name, err), c.failure(), c.stop())
	}
	return c, nil
}

// startProgram starts another program, with a log file in dir.
func startProgram(ctx context.Context, dir, name, path string, args ...string) (*child, error) {
	c := newChild(ctx, dir, name, path, args...)
	return c, c.start()
}

// newChild makes one that outlives the context and the terminal's Ctrl-C: it is stopped in order.
func newChild(ctx context.Context, dir, name, path string, args ...string) *child {
	c := &child{name: name, log: filepath.Join(dir, name+".log")}
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), path, args...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

func (c *child) start() error {
	log, err := os.Create(c.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	c.cmd.Stderr = log
	if c.in == nil {
		c.cmd.Stdout = log
	}
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	return nil
}

// tell sends a command.
func (c *child) tell(command any) error {
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(text, '\n')); err != nil {
		return errors.Join(fmt.Errorf("telling %s: %w", c.name, err), c.failure())
	}
	return nil
}

// ask sends a command and waits until it is obeyed.
func (c *child) ask(command any) error {
	if err := c.tell(command); err != nil {
		return err
	}
	var answer struct{}
	if err := c.out.Decode(&answer); err != nil {
		return errors.Join(fmt.Errorf("asking %s: %w", c.name, err), c.failure())
	}
	return nil
}

// failure is the end of what the process logged.
func (c *child) failure() error {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("the log of %s ends with:\n%s", c.name, text[max(0, len(text)-2000):])
}

// stop ends the process in order, and by force if that takes long. Of a nil child it does nothing.
func (c *child) stop() error {
	if c == nil {
		return nil
	}
	if c.in != nil {
		_ = c.in.Close()
	} else {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	if err := c.cmd.Wait(); err != nil {
		return errors.Join(fmt.Errorf("ending %s: %w", c.name, err), c.failure())
	}
	return nil
}
