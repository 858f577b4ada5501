package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// defaultStep is the time between two decisions of a backtest: that of the HorizontalPodAutoscaler.
const defaultStep = 15 * time.Second

// rivalNames are what a policy is compared with.
var rivalNames = []string{"current", "hpa", "keda"}

// backtestOptions are what the flags and arguments of backtest say.
type backtestOptions struct {
	tickFlags
	deployment   string
	since        sinceFlag
	sets         []string
	against      []string
	expect       []string
	startup      time.Duration
	gpus         int
	from, export string
	noCache      bool
	reports      reportFlags

	// expectations are what expect says.
	expectations []simulate.Expectation
	// given tells which flags were given.
	given func(flag string) bool
}

// sinceFlag is a duration as Prometheus has it: with days and weeks.
type sinceFlag model.Duration

// String returns the duration.
func (f *sinceFlag) String() string { return model.Duration(*f).String() }

// Type names the kind of value in the help.
func (f *sinceFlag) Type() string { return "duration" }

// Set takes 7d, 2w, 36h and the like.
func (f *sinceFlag) Set(text string) error {
	d, err := model.ParseDuration(text)
	if err != nil || d <= 0 || time.Duration(d) > simulate.MaxDuration {
		return fmt.Errorf("%q is not allowed: give a duration such as 7d, 2w or 36h", text)
	}
	*f = sinceFlag(d)
	return nil
}

// newBacktestCommand builds `gpuscaler backtest`.
func newBacktestCommand(g *globals) *cobra.Command {
	o := backtestOptions{since: sinceFlag(7 * 24 * time.Hour)}
	cmd := &cobra.Command{
		Use:   "backtest deployment/NAME",
		Short: "Show what a policy would have done on the recorded metrics",
		Example: `  gpuscaler backtest deployment/llm -n prod --since 7d
  gpuscaler backtest deployment/llm --set target.queue-depth=8 --set 'target.queue-depth=2; scale-down.stabilization=10m'
  gpuscaler backtest deployment/llm --against current,hpa,keda --expect max-reversals=3
  gpuscaler backtest deployment/llm --against current --html llm.html --png llm.png
  gpuscaler backtest deployment/llm --export llm.json && gpuscaler backtest --from llm.json --startup 4m`,
		Long: `Reads from Prometheus what the pods of a Deployment showed, and replays it: as annotated, with each
--set changed, and as others would have done. The decisions are those of the controller: the same
function makes them. Pods take --startup to serve, and at most --gpus of them find a place. The
recorded demand is shared by the pods that a policy would have had ready.

What was read is kept on disk (in the user's cache folder), so that another try takes seconds.
The exit code is 1 if an --expect does not hold.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = cmd.Flags().Changed
			if err := usage(o.problems()); err != nil {
				return err
			}
			return o.run(cmd, g)
		},
	}
	g.takeDeployment(cmd, &o.deployment)
	o.addFlags(cmd)
	o.reports.add(cmd)
	return cmd
}

func (o *backtestOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	o.tickFlags.addFlags(flags)
	interval := flags.Lookup("interval")
	interval.DefValue, interval.Usage = defaultStep.String(), "time between two decisions, and between two readings"
	o.interval = defaultStep
	flags.Var(&o.since, "since", "how far to go back, such as 7d or 36h")
	flags.StringArrayVar(&o.sets, "set", nil, "try `key=value` beside what is annotated; several at once with ; between them; repeatable: each is one more policy to try;\n"+
		"key= takes an annotation away")
	flags.StringSliceVar(&o.against, "against", nil, "compare with "+strings.Join(rivalNames, ", ")+": `names` with commas between them. current is what really\n"+
		"happened; hpa and keda are what they would do with the targets, bounds and behavior of the first policy")
	flags.StringArrayVar(&o.expect, "expect", nil, "exit 1 unless it holds of the policy and of each --set, such as `max-reversals=3`; repeatable")
	flags.DurationVar(&o.startup, "startup", 0, "how long a new pod takes to serve (default as annotated, else as recorded, else 5m)")
	flags.IntVar(&o.gpus, "gpus", 0, "how many pods the cluster can place (default any number)")
	flags.StringVar(&o.from, "from", "", "`file` with exported samples to use instead of a cluster and its Prometheus; - for standard input")
	flags.StringVar(&o.export, "export", "", "`file` to write the samples to; - for standard output, and nothing else there")
	flags.BoolVar(&o.noCache, "no-cache", false, "read everything anew and keep nothing on disk")
}

// problems returns everything that is wrong with the options.
func (o *backtestOptions) problems() []error {
	problems := o.tickFlags.problems()
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	complain(o.from == "" && o.deployment == "", "nothing to replay: give deployment/NAME, or --from FILE with exported samples")
	complain(o.from != "" && o.deployment != "", "deployment/%s and --from %s exclude each other: the file says of which Deployment it is", o.deployment, o.from)
	for _, flag := range []string{"since", "interval", "prometheus-url", "no-cache"} {
		complain(o.from != "" && o.given(flag), "--from %s and --%s exclude each other: the samples are in the file", o.from, flag)
	}
	complain(o.interval%time.Second != 0, "--interval %v is not allowed: give whole seconds, because a range query can do no less", o.interval)
	complain(o.startup < 0 || o.startup > simulate.MaxDuration, "--startup %v is not allowed: give a duration from 0s", o.startup)
	complain(o.export == "-" && o.reports.html == "-", "--export - and --html - exclude each other: standard output takes one of them")
	complain(o.given("gpus") && o.gpus < 1, "--gpus %d is not allowed: give a whole number from 1", o.gpus)
	for _, name := range o.against {
		complain(!slices.Contains(rivalNames, name), "--against %q is not allowed: give %s", name, strings.Join(rivalNames, ", "))
	}
	for _, text := range o.expect {
		e, err := parseExpect(text)
		complain(err != nil, "--expect %s: %v", text, err)
		o.expectations = append(o.expectations, e)
	}
	return problems
}

// parseExpect reads max-reversals=3.
func parseExpect(text string) (simulate.Expectation, error) {
	name, number, found := strings.Cut(text, "=")
	bound, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !found || err != nil {
		return simulate.Expectation{}, errors.New("give a name and a number, such as max-reversals=3")
	}
	return simulate.ParseExpectation(strings.TrimSpace(name), bound)
}
