// Command mutate takes the rules of the policy away, one by one, and wants a golden scenario to notice each time: that its table,
// as `gpuscaler simulate` prints it, is not the golden one any more. It prints what it took away and what noticed.
//
// All mutations are compiled into one program, off until the environment chooses one, by an overlay of go build: no file
// is changed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"

	"github.com/gpuscaler/gpuscaler/test/mutant"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// run tries all mutations and prints them. It fails if a scenario does not hold without any, or if one is noticed by none.
func run(ctx context.Context, to io.Writer) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return fmt.Errorf("making a folder for the mutated program: %w", err)
	}
	defer os.RemoveAll(dir)
	root, err := mutant.Root(ctx)
	if err != nil {
		return err
	}
	p, err := build(ctx, root, dir)
	if err != nil {
		return err
	}
	if err := p.holds(ctx); err != nil {
		return err
	}
	rows := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	defer rows.Flush()
	fmt.Fprintln(rows, "RULE\tTAKEN AWAY\tSCENARIO\tNOTICED")
	survived := 0
	for i, m := range mutations {
		noticed, err := p.notices(ctx, i+1, m.scenario)
		if err != nil {
			return fmt.Errorf("taking away %q: %w", m.name, err)
		}
		verdict := "yes"
		if !noticed {
			verdict = "NO"
			survived++
		}
		fmt.Fprintf(rows, "%d\t%s\t%s\t%s\n", m.rule, m.name, m.scenario, verdict)
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutations are noticed by no scenario: sharpen it, or find out whether the rule is needed", survived, len(mutations))
	}
	return nil
}
