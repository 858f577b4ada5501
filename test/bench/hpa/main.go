// Command hpa compares gpuscaler with the HorizontalPodAutoscaler on the same workloads at the same API server: how fast they react to a
// step of load, and what that costs. `make bench-hpa` runs it and writes the tables of ../README.md, which says what they do not show.
//
// It runs itself again in the roles of a cluster, so that each of them is a process of its own whose CPU time and memory can be told:
//
//	cluster     etcd, API server, controllers and scheduler of package bed, without an autoscaler
//	autoscaler  the HorizontalPodAutoscaler controller of kube-controller-manager
//	adapter     custom.metrics.k8s.io, from values that it is told the moment they change
//	prometheus  a Prometheus that scrapes the nodes each second
//
// The program under test is the built one, under the rights that deploy/ ships. What is left, this process, plays the GPU nodes, moves
// the loads and measures. The arms (arm.go) take turns; in each, the phases (phases.go) are rest, steps, noise and outages.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/bench/hpa/report"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// options are what the flags say.
type options struct {
	rounds, steps int
	names         []string
	seed          uint64
	tuned         tuning
	// How long the phases are. Steps come within the window; what they cost is counted until the tail ends. Quiet goes before rest.
	rest, window, tail, noise, outage, quiet time.Duration
	outages                                  []string

	program, rights, csv, readme string
}

// defaultArms leave out one that needs no Prometheus and one of the HPA on a sum, for the sake of the time that a run takes.
const defaultArms = "hpa-defaults,hpa-tuned,gpuscaler-15s,gpuscaler-1s"

func newOptions() *options {
	return &options{
		rounds: 2, steps: 60, names: strings.Split(defaultArms, ","), seed: uint64(time.Now().UnixNano()),
		tuned: tuning{sync: time.Second, workers: 20, qps: 1000, burst: 2000},
		rest:  30 * time.Second, window: 30 * time.Second, tail: 15 * time.Second,
		noise: 30 * time.Second, outage: 16 * time.Second, outages: faults, quiet: 7 * time.Second,
		program: "../bin/gpuscaler", rights: "../deploy/rbac",
	}
}

func (o *options) flags(set *flag.FlagSet) {
	set.IntVar(&o.rounds, "rounds", o.rounds, "how often each arm has its turn; noise and outages come in the last one")
	set.IntVar(&o.steps, "steps", o.steps, "how many Deployments there are; each steps once a round")
	list := func(to *[]string) func(string) error {
		return func(text string) error {
			*to = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
			return nil
		}
	}
	set.Func("arms", "comma-separated arms (default "+defaultArms+")", list(&o.names))
	set.Func("outages", "comma-separated kinds of outage (default "+strings.Join(faults, ",")+")", list(&o.outages))
	set.Uint64Var(&o.seed, "seed", o.seed, "the same seed gives the same order of arms, moments of steps, and noise")
	o.tuned.flags("hpa-", set)
	set.DurationVar(&o.quiet, "quiet", o.quiet, "how long a scaler is given to end what it does at its start; gpuscaler writes its checkpoint 5s after a decision at most")
	set.DurationVar(&o.rest, "rest", o.rest, "how long nothing happens")
	set.DurationVar(&o.window, "window", o.window, "within what time all loads step: a multiple of all intervals, so that they do so at every phase alike")
	set.DurationVar(&o.tail, "tail", o.tail, "how long after that the cost of it is counted")
	set.DurationVar(&o.noise, "noise", o.noise, "how long the load is noisy")
	set.DurationVar(&o.outage, "outage", o.outage, "how long an outage is")
	set.StringVar(&o.program, "program", o.program, "the program under test")
	set.StringVar(&o.rights, "rights", o.rights, "the folder of the manifests that grant its rights")
	set.StringVar(&o.csv, "csv", o.csv, "file to write every measurement to")
	set.StringVar(&o.readme, "readme", o.readme, "page to write the tables into")
}

// validate returns everything that is wrong.
func (o *options) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.rounds < 1 {
		wrong("-rounds is %d, want at least 1", o.rounds)
	}
	if o.steps < 2 || o.steps > 200 {
		wrong("-steps is %d, want 2 to 200", o.steps)
	}
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(o.arms())), func(name string) bool { return name == report.Idle })
	for _, name := range o.names {
		if !slices.Contains(known, name) {
			wrong("-arms has %q, want some of %s", name, strings.Join(known, ", "))
		}
	}
	if len(o.names) == 0 {
		wrong("-arms is empty, want some of %s", strings.Join(known, ", "))
	}
	for _, kind := range o.outages {
		if !slices.Contains(faults, kind) {
			wrong("-outages has %q, want some of %s", kind, strings.Join(faults, ", "))
		}
	}
	if o.quiet < 0 || o.rest <= 0 || o.window <= 0 || o.tail < 0 || o.noise < 0 || o.outage <= 0 {
		wrong("a duration is below zero, or one of -rest, -window and -outage is zero")
	}
	return errors.Join(errs...)
}

func main() {
	if code, played := playRole(); played {
		os.Exit(code)
	}
	o := newOptions()
	o.flags(flag.CommandLine)
	flag.Parse()
	if err := o.validate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run measures and tells.
func (o *options) run(ctx context.Context) error {
	began := time.Now()
	conditions, err := o.conditions(ctx)
	if err != nil {
		return err
	}
	fmt.Print(conditions)
	rs, err := o.measure(ctx)
	// What has been measured before something failed is kept, but only in the file.
	if o.csv != "" {
		err = errors.Join(err, write(o.csv, rs))
	}
	if err != nil {
		return err
	}
	tables := conditions + rs.Markdown(o.steps)
	fmt.Printf("%s\nIt took %s.\n", rs.Markdown(o.steps), time.Since(began).Round(time.Second))
	if o.readme == "" {
		return nil
	}
	page, err := os.ReadFile(o.readme)
	if err != nil {
		return err
	}
	text, err := report.Replace(string(page), tables)
	if err != nil {
		return fmt.Errorf("writing %s: %w", o.readme, err)
	}
	return os.WriteFile(o.readme, []byte(text), 0o644)
}

// measure lets all arms play, in an order of its own in each round.
func (o *options) measure(ctx context.Context) (rs report.Records, err error) {
	fmt.Println("Starting the control plane and the nodes…")
	silenceClients()
	s, err := newStage(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	all := o.arms()
	for round := 1; round <= o.rounds; round++ {
		order := slices.Clone(o.names)
		if round == 1 {
			order = append(order, report.Idle)
		}
		random := rand.New(rand.NewPCG(o.seed, uint64(round)))
		random.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		fmt.Printf("Round %d of %d: %s\n", round, o.rounds, strings.Join(order, ", "))
		for _, name := range order {
			// The loads of a round are the same for all arms.
			loads := rand.New(rand.NewPCG(o.seed, uint64(round)))
			began := time.Now()
			more, err := s.play(ctx, all[name], loads, round == o.rounds)
			for i := range more {
				more[i].Round = round
			}
			rs = append(rs, more...)
			if err != nil {
				return rs, fmt.Errorf("round %d, %s: %w", round, name, err)
			}
			fmt.Printf("  %s took %s\n", name, time.Since(began).Round(time.Second))
		}
	}
	return rs, nil
}

// silenceClients keeps off the terminal what the fleet's watches log when they end.
func silenceClients() {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL"} {
		_ = flags.Set(name, value) // these flags exist and take these values
	}
	klog.SetOutput(io.Discard)
}

// conditions are those of the run.
func (o *options) conditions(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, o.program, "version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", o.program, err)
	}
	line, _, _ := strings.Cut(string(version), "\n")
	return fmt.Sprintf("* %s, %d cores, %s/%s, %s\n* Kubernetes %s, Prometheus %s, %s\n* %d rounds of %d Deployments, seed %d; hpa-tuned: %s\n* Load average when it began: %s\n",
		machine(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(),
		bed.Version, prom.Version, line, o.rounds, o.steps, o.seed, &o.tuned, loadAverage()), nil
}

// machine is the name of the processor.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown processor"
}

// loadAverage tells of the last minute whether the machine had something else to do.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "not known"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func write(path string, rs report.Records) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(rs.WriteCSV(file), file.Close())
}
