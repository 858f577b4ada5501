package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// version is set when the program is built: -ldflags '-X main.version=v1.2.3'.
var version = "dev"

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "version prints the version of this program.",
		Example: "  nvml-agent version",
		Args:    noArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "nvml-agent", version)
		},
	}
}
