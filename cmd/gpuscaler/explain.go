package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// explainOptions are what the flags and arguments of explain say.
type explainOptions struct {
	planOptions
	// history is how far back the past decisions are shown, 0 for the present one.
	history time.Duration
	// replay is a file of recorded decisions, empty for none.
	replay string
}

func newExplainCommand(g *globals) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain deployment/NAME",
		Short: "Tell why there are as many replicas as there are, and what would change it",
		Example: `  gpuscaler explain deployment/llm -n prod
  gpuscaler explain deployment/llm -n prod --history 1h
  gpuscaler explain deployment/llm -n prod --history 1h -o json > history.json
  gpuscaler explain --replay history.json`,
		Long: `Tells the story of the last decision about a Deployment: what was read, what each stage made of it,
what holds it and until when, and the smallest changes that would change the outcome. These are found
by asking the same function that decides, with one thing changed and all else as it is.

The running controller is asked for what it decided, and from what. Where there is none, the decision
is computed as plan does it.

--history shows the past decisions that the running controller keeps in memory. Its JSON holds what
each was made from; --replay decides again from that, without a cluster, and compares. The exit code is
1 if any decision comes out differently.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := usage(o.problems()); err != nil {
				return err
			}
			if o.replay != "" {
				return runReplay(cmd, g.output, o.replay)
			}
			c, err := g.cluster()
			if err != nil {
				return err
			}
			if o.history > 0 {
				return o.showHistory(cmd, g, c)
			}
			return o.explain(cmd, g, c)
		},
	}
	g.takeDeployment(cmd, &o.deployment)
	o.addFlags(cmd.Flags())
	addControllerURL(cmd.Flags(), &o.controllerURL)
	cmd.Flags().DurationVar(&o.history, "history", 0, "show the decisions of so long a `time` before now, such as 1h")
	cmd.Flags().Lookup("history").DefValue = "" // not 0s, which is no value to give
	cmd.Flags().StringVar(&o.replay, "replay", "", "`file` with recorded decisions to make again and compare, - for standard input")
	return cmd
}

// problems returns everything that is wrong with the options.
func (o *explainOptions) problems() []error {
	problems := o.planOptions.problems()
	complain := func(wrong bool, err error) {
		if wrong {
			problems = append(problems, err)
		}
	}
	complain(o.deployment == "" && o.replay == "", errors.New("no Deployment: name one, as in deployment/NAME; `gpuscaler plan -A` shows all that are scaled"))
	complain(o.deployment != "" && o.replay != "", fmt.Errorf("--replay %s tells which decisions to make again, and deployment/%s another: give one of them", o.replay, o.deployment))
	complain(o.history < 0, fmt.Errorf("--history %v must be a time before now, such as 1h", o.history))
	complain(o.history != 0 && o.replay != "", fmt.Errorf("--history and --replay exclude each other: --replay %s shows all decisions in it", o.replay))
	return problems
}
