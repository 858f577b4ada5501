package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gpuscaler/gpuscaler/cmd/logging"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a command line that makes no sense, whatever the state of the world.
type usageError struct{ error }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

// globals are the flags of every command.
type globals struct {
	log     logging.Flags
	library string
	proc    string
}

// execute runs the command line until SIGINT or SIGTERM and returns the exit code: 0 for success, 1 for an error, 2 for
// wrong usage.
func execute(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(errOut, "error: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(errOut, "See '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitError
}

// newRootCommand builds the command line.
func newRootCommand() *cobra.Command {
	g := &globals{}
	o := &agentOptions{globals: g}
	root := &cobra.Command{
		Use:   "nvml-agent",
		Short: "Write what the GPUs of this node do, and for which pods, as metrics",
		Long: `nvml-agent reads the GPUs of its node through NVML once a second, asks the kubelet which pods
hold them, and serves both at /metrics. The controller of gpuscaler and Prometheus read it there.
It runs on every GPU node. Without a driver or a kubelet it waits for one.`,
		Example: `  nvml-agent --listen :9401       # the agent
  nvml-agent nvml                 # the GPUs of this machine, in the words of a policy`,
		Args:              knownCommand,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	g.addFlags(root.PersistentFlags())
	o.addFlags(root.Flags())
	root.AddCommand(newNVMLCommand(g), newVersionCommand())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetHelpFunc(printHelp)
	return root
}

// addFlags adds the flags of every command.
func (g *globals) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&g.library, "nvml-library", nvml.DefaultLibrary, "name or path of the driver's NVML library")
	flags.StringVar(&g.proc, "proc", "/proc", "where the processes of the node are seen")
	g.log.AddFlags(flags)
}

// knownCommand is what the root command says to arguments: those it knows are commands and never come here.
func knownCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q: there are nvml and version, and without one it is the agent", args[0])}
	}
	return nil
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%q takes no arguments: got %q", cmd.CommandPath(), args)}
	}
	return nil
}

// printHelp prints a command's help: first how it is used, then what it does, then what can be said to it. It is not a
// template of cobra's, because one would link package text/template and with it every method of every type.
func printHelp(cmd *cobra.Command, _ []string) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Example:\n%s\n\n%s\n\nUsage:\n  %s\n", cmd.Example, cmd.Long, cmd.UseLine())
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(out, "\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(out, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	fmt.Fprintf(out, "\nFlags:\n%s", cmd.LocalFlags().FlagUsages())
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(out, "\nGlobal flags:\n%s", cmd.InheritedFlags().FlagUsages())
	}
}
