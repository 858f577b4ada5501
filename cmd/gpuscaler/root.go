package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/gpuscaler/gpuscaler/cmd/logging"
)

// globals are the flags that every command has.
type globals struct {
	kube   *genericclioptions.ConfigFlags
	output outputFormat
	log    logFlags
}

// execute runs the command line and returns the exit code: 0 for success, 1 for an error, 2 for wrong usage, 3 for what doctor
// warns of, 130 if it was interrupted before it was done. args[0] is the name the program was called by.
func execute(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the first signal on the default is back in force, so that a second Ctrl-C ends the program at once.
	context.AfterFunc(ctx, stop)
	return executeContext(ctx, args, in, out, errOut)
}

// executeContext is execute until a context ends.
func executeContext(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRootCommand(programName(args[0]), in, out, errOut)
	root.SetArgs(args[1:])
	cmd, err := root.ExecuteContextC(ctx)
	return report(errOut, cmd, err, ctx.Err() != nil)
}

// programName is what the user typed: as a kubectl plugin that is "kubectl gpuscaler".
func programName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	if plugin, ok := strings.CutPrefix(name, "kubectl-"); ok {
		return "kubectl " + plugin
	}
	return "gpuscaler"
}

// newRootCommand builds the command line.
func newRootCommand(program string, in io.Reader, out, errOut io.Writer) *cobra.Command {
	g := &globals{kube: newKubeFlags(), output: tableOutput}
	root := &cobra.Command{
		Use:   "gpuscaler",
		Short: "Scale Kubernetes Deployments that run on GPUs",
		Long: `gpuscaler reads GPU and inference metrics, decides how many replicas each annotated
Deployment needs, and patches its scale. A Deployment opts in with the annotation
gpuscaler.io/enabled: "true".`,
		Example: `  gpuscaler check deployment.yaml             # are the annotations right?
  gpuscaler doctor -A                         # do the metrics arrive, are there rights, GPUs, conflicts?
  gpuscaler run --dry-run                     # what would it do in this cluster? Writes nothing
  gpuscaler explain deployment/llm -n prod    # why is it what it is, and what would change it?`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: program},
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          printWelcome,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	g.addFlags(root.PersistentFlags())
	g.completeFlags(root)
	root.AddCommand(
		newBacktestCommand(g),
		newCheckCommand(g),
		newDoctorCommand(g),
		newExplainCommand(g),
		newGetCommand(g),
		newImportCommand(g),
		newPlanCommand(g),
		newRunCommand(g),
		newSimulateCommand(g),
		newVersionCommand(g),
	)
	finish(root)
	return root
}

// addFlags adds the flags of every command.
func (g *globals) addFlags(flags *pflag.FlagSet) {
	flags.VarP(&g.output, "output", "o", "output format: table, json or yaml")
	g.log.AddFlags(flags)
	addKubeFlags(flags, g.kube)
}

// completeFlags has the shell complete the values of flags that have few.
func (g *globals) completeFlags(root *cobra.Command) {
	for flag, values := range map[string][]string{
		"output":         {string(tableOutput), string(jsonOutput), string(yamlOutput)},
		"logging-format": {logging.Text, logging.JSON},
	} {
		// It fails only for a flag that does not exist.
		_ = root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder))
	}
}

// knownCommand is what the root command says to arguments: those it knows are commands and never come here.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q", args[0])
}
