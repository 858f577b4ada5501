package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version string

// versionInfo says which build this is.
type versionInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// readVersion returns what the build knows of itself.
func readVersion() versionInfo {
	info := versionInfo{Version: version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				info.Commit = setting.Value
			}
		}
		if info.Version == "" {
			info.Version = build.Main.Version
		}
	}
	if info.Version == "" {
		info.Version = "unknown"
	}
	return info
}

func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:         "version",
		Short:       "Print the version",
		Example:     "  gpuscaler version -o json",
		Annotations: offline,
		Args:        noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := readVersion()
			if g.output != tableOutput {
				return printValue(cmd.OutOrStdout(), g.output, info)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "gpuscaler %s (%s, %s)\n", info.Version, info.GoVersion, info.Platform)
			return err
		},
	}
}
