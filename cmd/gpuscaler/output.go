package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// outputFormat is the value of --output.
type outputFormat string

// The output formats.
const (
	tableOutput outputFormat = "table"
	jsonOutput  outputFormat = "json"
	yamlOutput  outputFormat = "yaml"
)

// String returns the format.
func (f *outputFormat) String() string { return string(*f) }

// Type names the kind of value in the help.
func (f *outputFormat) Type() string { return "format" }

// Set takes one of the formats.
func (f *outputFormat) Set(value string) error {
	return oneOf((*string)(f), value, string(tableOutput), string(jsonOutput), string(yamlOutput))
}

// oneOf sets a string to a value that must be one of those allowed.
func oneOf(to *string, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			*to = value
			return nil
		}
	}
	return fmt.Errorf("allowed are %s", strings.Join(allowed, ", "))
}

// printValue prints a value as JSON or YAML. With the same value it prints the same bytes.
func printValue(out io.Writer, format outputFormat, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // <signal> stays readable; nothing of this goes into a page
	encoder.SetIndent("", "  ")
	err := encoder.Encode(value)
	if err == nil && format == yamlOutput {
		var asYAML []byte
		asYAML, err = yaml.JSONToYAML(text.Bytes())
		text = *bytes.NewBuffer(asYAML)
	}
	if err != nil {
		return fmt.Errorf("printing as %s: %w", format, err)
	}
	if _, err := text.WriteTo(out); err != nil {
		return fmt.Errorf("printing as %s: %w", format, err)
	}
	return nil
}

// isTerminal reports whether something written there is seen by a person who can be shown colours and redrawn lines.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
