// Command scale measures what gpuscaler costs, and how fast it reacts, with up to 10,000 Deployments of 10 pods each: on a real API server
// full of objects as a cluster leaves them, with a real Prometheus that scrapes a GPU's utilization for each pod, and with the program as
// its users run it, under the rights of deploy/, a process of its own that is measured from outside. README.md beside says what it found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options say what is measured.
type options struct {
	sizes, steps                         []int
	ticks, fast                          int
	interval, scrape                     time.Duration // at rest
	stepInterval, stepScrape             time.Duration
	program, rights, csvFile, readmeFile string
	log                                  func(format string, args ...any)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == rolePrometheus {
		exit(bePrometheus(os.Stdin, os.Stdout))
	}
	o := &options{}
	began := time.Now()
	o.log = func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	sizes := flag.String("sizes", "100,1000,5000,10000", "numbers of Deployments")
	steps := flag.String("steps", "1,10,100", "shares of the Deployments whose load steps up, in percent; empty for none")
	flag.IntVar(&o.ticks, "ticks", 20, "how many ticks are measured at rest, and half as many with the metrics told after each")
	flag.DurationVar(&o.interval, "interval", 5*time.Second, "time between two ticks at rest")
	flag.DurationVar(&o.scrape, "scrape", 15*time.Second, "time between two scrapes of Prometheus at rest")
	flag.DurationVar(&o.stepInterval, "step-interval", time.Second, "time between two ticks when the load steps up")
	flag.DurationVar(&o.stepScrape, "step-scrape", time.Second, "time between two scrapes when the load steps up")
	flag.IntVar(&o.fast, "fast", 1000, "up to how many Deployments that is so; with more a step is measured at -interval, scrapes too")
	flag.StringVar(&o.program, "program", "../bin/gpuscaler", "the program to measure")
	flag.StringVar(&o.rights, "rights", "../deploy/rbac", "the folder of the manifests that grant its rights")
	flag.StringVar(&o.csvFile, "csv", "", "file for all single numbers; empty for none")
	flag.StringVar(&o.readmeFile, "readme", "", "README.md to put the table into; empty for none")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	var wrong [2]error
	o.sizes, wrong[0] = numbers("sizes", *sizes, 1, 15000)
	o.steps, wrong[1] = numbers("steps", *steps, 1, 100)
	if err := errors.Join(wrong[:]...); err != nil {
		exit(err)
	}
	exit(o.run(ctx))
}

// exit ends the process.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// numbers reads a list.
func numbers(flag, text string, least, most int) (list []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("-%s %q: %q is not a number from %d to %d", flag, text, part, least, most)
		}
		list = append(list, n)
	}
	return list, nil
}

// run measures all sizes, and tells after each what it has, so that an interrupt does not lose it.
func (o *options) run(ctx context.Context) error {
	about, err := describe(ctx, o)
	if err != nil {
		return err
	}
	r := &report{about: about}
	for _, n := range o.sizes {
		one, err := o.measure(ctx, n)
		if err != nil {
			return errors.Join(fmt.Errorf("measuring %d Deployments: %w", n, err), r.tell(os.Stdout))
		}
		r.sizes = append(r.sizes, one)
		if err := o.write(r); err != nil {
			return err
		}
	}
	return r.tell(os.Stdout)
}

// measure measures one size.
func (o *options) measure(ctx context.Context, deployments int) (r *size, err error) {
	s, err := newStage(ctx, o, deployments)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	r = &size{deployments: deployments}
	if r.rest, err = o.measureRest(ctx, s); err != nil {
		return nil, err
	}
	o.log("at rest a tick took %s of CPU (p50 / p99), and %s were resident at most", both(sorted(r.rest.ticks, cpuOf)), mebibytes(most(r.rest.ticks)))
	if len(o.steps) == 0 {
		return r, nil
	}
	if r.steps, err = o.measureSteps(ctx, s); err != nil {
		return nil, err
	}
	return r, nil
}
