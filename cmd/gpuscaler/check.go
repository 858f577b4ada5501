package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/manifest"
	"github.com/gpuscaler/gpuscaler/policy"
)

// maxManifest bounds what is read of one file, in bytes.
const maxManifest = 64 << 20

func newCheckCommand(g *globals) *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "check FILE|DIR|- ...",
		Short: "Check the annotations in manifests, with file and line",
		Example: `  gpuscaler check deploy/                                    # *.yaml, *.yml and *.json in it and below
  helm template my-chart | gpuscaler check -
  gpuscaler check llm.yaml --classes classes.yaml -o json`,
		Long: `Finds the annotated Deployments in manifests and reports every problem with its file and line.
It talks to no cluster. Exit code 1 if there is any problem, 0 if there is none; warnings do not count.`,
		Annotations: offline,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("nothing to check: give a file, a folder, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := admin.settings(defaultInterval, defaultMaxSampleAge)
			if err != nil {
				return err
			}
			c := checker{settings: settings, in: cmd.InOrStdin()}
			return c.run(args, cmd.OutOrStdout(), cmd.ErrOrStderr(), g.output)
		},
	}
	admin.addFlags(cmd.Flags())
	return cmd
}

// checker collects Findings over files.
type checker struct {
	settings           policy.Settings
	in                 io.Reader
	findings           []manifest.Finding
	files, deployments int
}

// run checks everything and reports. What cannot be read hides nothing else.
func (c *checker) run(paths []string, out, errOut io.Writer, format outputFormat) error {
	var unread []error
	for _, path := range paths {
		if err := c.path(path); err != nil {
			unread = append(unread, err)
		}
	}
	if c.files > 0 || len(unread) == 0 {
		unread = append(unread, c.report(out, errOut, format))
	}
	return errors.Join(unread...)
}

// path checks a file, a folder with all below it, or standard input.
func (c *checker) path(path string) error {
	if path == "-" {
		return c.read("<stdin>", c.in)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading manifests: %w", err)
	}
	if !info.IsDir() {
		return c.file(path)
	}
	root := filepath.Clean(path) + string(filepath.Separator) // a link to a folder is followed only with a separator behind it
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case entry == nil:
			return err
		case err != nil:
			c.unreadable(name, err)
		case entry.IsDir() && name != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir // .git and the like
		case !entry.IsDir() && isManifest(name):
			c.inFolder(name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the manifests of a folder: %w", err)
	}
	return nil
}

// inFolder checks a file found in a folder, if it is one or a link to one.
func (c *checker) inFolder(name string) {
	info, err := os.Stat(name)
	if err == nil && info.Mode().IsRegular() {
		err = c.file(name)
	}
	if err != nil {
		c.unreadable(name, err)
	}
}

// unreadable notes a file or folder that cannot be read.
func (c *checker) unreadable(name string, err error) {
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	c.files++
	c.findings = append(c.findings, manifest.Finding{File: name, Line: 1, Message: fmt.Sprintf("cannot be read: %v", err), Severity: manifest.Error})
}

// isManifest tells by a file's name whether kubectl apply would read it.
func isManifest(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// file checks one file.
func (c *checker) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading manifests: %w", err)
	}
	defer f.Close()
	return c.read(name, f)
}

// read checks one manifest.
func (c *checker) read(name string, from io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(from, maxManifest+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxManifest {
		return fmt.Errorf("reading %s: it is larger than the %d MiB that are allowed", name, maxManifest>>20)
	}
	findings, deployments := manifest.Check(name, text, c.settings)
	c.findings = append(c.findings, findings...)
	c.deployments += deployments
	c.files++
	return nil
}

// report prints the Findings on out and a summary on errOut, and returns an error if there is a problem among them.
func (c *checker) report(out, errOut io.Writer, format outputFormat) error {
	problems, warnings := 0, 0
	for i := range c.findings {
		f := &c.findings[i]
		if f.Severity == manifest.Error {
			problems++
		} else {
			warnings++
		}
		if format == tableOutput {
			fmt.Fprintln(out, f)
		}
	}
	if format != tableOutput {
		list := c.findings
		if list == nil {
			list = []manifest.Finding{}
		}
		if err := printValue(out, format, map[string]any{"problems": list}); err != nil {
			return err
		}
	}
	where := fmt.Sprintf("%sin %s of %s", alsoWarnings(warnings), count(c.deployments, "annotated Deployment"), count(c.files, "file"))
	switch {
	case problems > 0:
		return fmt.Errorf("%s %s", count(problems, "problem"), where)
	case c.deployments == 0:
		fmt.Fprintf(errOut, "no annotated Deployment found in %s: one opts in with the annotation %senabled: \"true\"\n", count(c.files, "file"), policy.Prefix)
	default:
		fmt.Fprintf(errOut, "no problems %s\n", where)
	}
	return nil
}

// alsoWarnings mentions warnings if there are any.
func alsoWarnings(n int) string {
	if n == 0 {
		return ""
	}
	return "and " + count(n, "warning") + " "
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
