package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitWarnings    = 3   // of doctor: nothing worse than a warning
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// usageError is a command line that makes no sense, whatever the state of the world.
type usageError struct{ error }

// Unwrap returns what is wrong.
func (e usageError) Unwrap() error { return e.error }

// warnings are what a command found that has itself done what it was asked for: it is told without calling it an error.
type warnings string

// Error returns them.
func (w warnings) Error() string { return string(w) }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// report tells an error on errOut and returns the exit code.
func report(errOut io.Writer, cmd *cobra.Command, err error, interrupted bool) int {
	var usage usageError
	var found warnings
	switch {
	case err == nil:
		return exitOK
	case interrupted && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "error: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	case errors.As(err, &found):
		fmt.Fprintln(errOut, found)
		return exitWarnings
	}
	fmt.Fprintf(errOut, "error: %v\n", err)
	return exitError
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q takes no arguments: got %q", cmd.CommandPath(), args)
	}
	return nil
}

// usageArgs makes what a validator of arguments says a usageError.
func usageArgs(validate cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := validate(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// finish gives all commands what they have in common. Wrong flags and arguments become usageErrors, and a command that
// only groups others says so instead of printing its help and reporting success.
func finish(root *cobra.Command) {
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetHelpFunc(printHelp)
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.Runnable() {
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = needsSubcommand
		}
		if cmd.Args != nil {
			cmd.Args = usageArgs(cmd.Args)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	exemplify(root)
}

// needsSubcommand is what a command that only groups others does.
func needsSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return usagef("%q needs one of its commands", cmd.CommandPath())
}
