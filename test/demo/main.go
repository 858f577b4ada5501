// Command demo shows gpuscaler at work on a real control plane, in about three minutes: it starts Kubernetes, a simulated fleet of GPU
// nodes and a Prometheus that scrapes them, creates an LLM and a vision model, lets their load rise and fall, runs the
// program that users run, and tells tick by tick what it does and why. When it ends, nothing is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interval is that of the program's ticks and of what is told.
const interval = 5 * time.Second

func main() {
	duration := flag.Duration("for", 3*time.Minute, "how long it runs; the load rises and falls every three minutes")
	program := flag.String("program", "../bin/gpuscaler", "the program to run")
	rights := flag.String("rights", "../deploy/rbac", "the folder of the manifests that grant its rights")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	err := run(ctx, *program, *rights, *duration)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run is the whole demo.
func run(ctx context.Context, program, rights string, duration time.Duration) (err error) {
	fmt.Println("Starting Kubernetes, 4 nodes with 4 GPUs each, and Prometheus…")
	s, err := newStage(ctx, rights)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("\nStopping everything…")
		err = errors.Join(err, s.close())
		fmt.Println("Nothing is left behind.")
	}()
	if err := s.createWorkloads(ctx); err != nil {
		return err
	}
	p, err := s.startProgram(ctx, program)
	if err != nil {
		return err
	}
	defer p.stop()
	s.introduce(p, duration)
	return s.tell(ctx, p, duration)
}
