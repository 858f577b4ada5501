package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/reports"
)

// reportFlags say where a report is to be written.
type reportFlags struct {
	html, png string
}

// add adds the flags to a command.
func (f *reportFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.html, "html", "", "write a report with charts to `file`, one HTML file that needs nothing else; - for standard output instead of the table")
	cmd.Flags().StringVar(&f.png, "png", "", "write the chart to `file` as a picture, for a chat")
}

// wanted reports whether any report is to be written.
func (f *reportFlags) wanted() bool { return f.html != "" || f.png != "" }

// check refuses what cannot be, before anything is computed: a file of another kind, and one in a folder that is not there.
func (f *reportFlags) check() error {
	switch {
	case f.png == "-":
		return usagef("--png -: a picture is not printed: give the name of a file")
	case f.html != "" && f.html == f.png:
		return usagef("--html and --png are both %s: give two files", f.html)
	case strings.EqualFold(filepath.Ext(f.html), ".png"):
		return usagef("--html %s: it is no picture: give a name that ends in .html, or use --png", f.html)
	case strings.EqualFold(filepath.Ext(f.png), ".html"):
		return usagef("--png %s: it is a picture: give a name that ends in .png, or use --html", f.png)
	}
	for _, given := range []struct{ flag, path string }{{"--html", f.html}, {"--png", f.png}} {
		if given.path == "" || given.path == "-" {
			continue
		}
		if info, err := os.Stat(given.path); err == nil && info.IsDir() {
			return fmt.Errorf("%s %s: that is a folder: give the name of a file in it", given.flag, given.path)
		}
		if folder := filepath.Dir(given.path); !isFolder(folder) {
			return fmt.Errorf("%s %s: there is no folder %s: create it first", given.flag, given.path, folder)
		}
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// write writes what is wanted, and says so on the way for people.
func (f *reportFlags) write(r *reports.Report, out, errOut io.Writer) error {
	if f.html != "" {
		var page bytes.Buffer
		if err := r.HTML(&page); err != nil {
			return err
		}
		if f.html == "-" {
			if _, err := page.WriteTo(out); err != nil {
				return fmt.Errorf("--html -: %w", err)
			}
		} else if err := writeReport("--html", f.html, page.Bytes(), errOut); err != nil {
			return err
		}
	}
	if f.png == "" {
		return nil
	}
	picture, err := r.PNG()
	if err != nil {
		return err
	}
	return writeReport("--png", f.png, picture, errOut)
}

// writeReport writes a file that others may read, as one would a document.
func writeReport(flag, path string, content []byte, errOut io.Writer) error {
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("%s: %w: give a file that can be written", flag, err)
	}
	fmt.Fprintf(errOut, "wrote %s\n", path)
	return nil
}
