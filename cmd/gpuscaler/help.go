package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// clusterGroup marks the flags that say which cluster to talk to. Commands that talk to none do not list them.
const clusterGroup = "cluster"

// offline marks a command that talks to no cluster.
var offline = map[string]string{"offline": "true"}

// printHelp prints a command's help: first how it is used, then what it does, then what can be said to it. It is not a
// template of cobra's, because one would link package text/template and with it every method of every type.
func printHelp(cmd *cobra.Command, _ []string) {
	out := cmd.OutOrStdout()
	if cmd.Example != "" {
		fmt.Fprintf(out, "Example:\n%s\n\n", asCalled(cmd, cmd.Example))
	}
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(out, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(about), cmd.UseLine())
	printCommands(out, cmd)
	printFlags(out, cmd)
}

// asCalled puts the name that the user called the program by into examples.
func asCalled(cmd *cobra.Command, example string) string {
	lines := strings.Split(example, "\n")
	for i, line := range lines {
		lines[i] = strings.Replace(line, "gpuscaler ", cmd.Root().DisplayName()+" ", 1)
	}
	return strings.Join(lines, "\n")
}

// groups are the commands in the order in which somebody new needs them, under what they are for.
var groups = []struct {
	title string
	names []string
}{
	{"See before you trust", []string{"check", "simulate", "doctor", "plan", "explain", "backtest"}},
	{"Move and run", []string{"import", "run", "get"}},
	{"Other", []string{"completion", "help", "version"}},
}

// printCommands lists the commands below one, those of the root by what they are for.
func printCommands(out io.Writer, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	if cmd.HasParent() {
		fmt.Fprint(out, "\nCommands:\n")
		for _, sub := range cmd.Commands() {
			printCommand(out, sub)
		}
		return
	}
	for _, group := range groups {
		fmt.Fprintf(out, "\n%s:\n", group.title)
		for _, name := range group.names {
			if sub, _, err := cmd.Find([]string{name}); err == nil && sub != cmd {
				printCommand(out, sub)
			}
		}
	}
}

// printCommand lists one command.
func printCommand(out io.Writer, sub *cobra.Command) {
	if sub.IsAvailableCommand() || sub.Name() == "help" {
		fmt.Fprintf(out, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
	}
}

// printWelcome is what the program says when it is called without a command.
func printWelcome(cmd *cobra.Command, _ []string) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s\n\nExample:\n%s\n", strings.TrimSpace(cmd.Long), asCalled(cmd, cmd.Example))
	printCommands(out, cmd)
	name := cmd.Root().DisplayName()
	fmt.Fprintf(out, "\n'%s COMMAND --help' tells more of a command, and '%s --help' lists the flags of all.\n", name, name)
	return nil
}

// printFlags lists the flags of a command: its own, then those of every command.
func printFlags(out io.Writer, cmd *cobra.Command) {
	own := cmd.LocalNonPersistentFlags()
	global := pflag.NewFlagSet("", pflag.ContinueOnError)
	cluster := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case !slices.Contains(f.Annotations["group"], clusterGroup):
			global.AddFlag(f)
		case cmd.Annotations["offline"] == "":
			cluster.AddFlag(f)
		}
	})
	for _, group := range []struct {
		title string
		flags *pflag.FlagSet
	}{{"Flags", own}, {"Cluster, as with kubectl", cluster}, {"Global flags", global}} {
		if group.flags.HasAvailableFlags() {
			fmt.Fprintf(out, "\n%s:\n%s", group.title, group.flags.FlagUsages())
		}
	}
}

// newHelpCommand is cobra's help command, except that it refuses a topic that does not exist.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "help [command]",
		Short:       "Help about any command",
		Example:     "  gpuscaler help plan",
		Annotations: offline,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("no help for %q: there is no such command", strings.Join(args, " "))
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// exemplify gives the commands that cobra adds an example.
func exemplify(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Annotations = offline
		cmd.Example = "  source <(gpuscaler completion bash)"
		for _, shell := range cmd.Commands() {
			shell.Annotations = offline
			shell.Example = "  gpuscaler completion " + shell.Name()
		}
	}
}
