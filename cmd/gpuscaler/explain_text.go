package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// show prints an explanation.
func (e *explanation) show(to io.Writer, format outputFormat) error {
	if format != tableOutput {
		return printValue(to, format, e)
	}
	return printExplanation(to, e)
}

// title names what is explained.
func (e *explanation) title() string {
	if e.Name == "" {
		return "a recorded decision"
	}
	return fmt.Sprintf("deployment/%s in namespace %s", e.Name, e.Namespace)
}

// printExplanation tells an explanation to people.
func printExplanation(to io.Writer, e *explanation) error {
	out := bufio.NewWriter(to)
	width := terminalWidth(to)
	fmt.Fprintf(out, "%s, at %s\n", e.title(), e.Time.Format(time.RFC3339))
	for _, line := range append([]string{e.Summary}, e.Notes...) {
		fmt.Fprintln(out, strings.Join(flow(line, "  ", width), "\n"))
	}
	fmt.Fprintln(out, "\nWhat was read")
	printSignals(out, e, width)
	if e.Decision.Fleet != (policy.Fleet{}) {
		fmt.Fprintln(out, strings.Join(flow(podsText(&e.Decision.Fleet), "  ", width), "\n"))
	}

	fmt.Fprintln(out, "\nWhat became of it")
	rows := make([][]string, len(e.Stages))
	for i, s := range e.Stages {
		reason := string(s.Reason)
		if !s.Changed && i > 0 && s.Text == "unchanged" {
			reason = ""
		}
		rows[i] = []string{s.Name, strconv.Itoa(s.Replicas), reason, s.Text}
	}
	printColumns(out, rows, "  ", width)
	fmt.Fprintln(out, strings.Join(flow(e.Decision.Message, "  ", width), "\n"))

	if e.Horizon > 0 {
		printChanges(out, e, width)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the explanation: %w", err)
	}
	return nil
}

// printSignals tells what was read.
func printSignals(out io.Writer, e *explanation, width int) {
	rows := [][]string{{"SIGNAL", "VALUE", "TARGET", "ASKS FOR", "AGE", "SOURCE"}}
	var more []string
	for i := range e.Signals {
		s := &e.Signals[i]
		value, target, asks, source := "?", "steps", strconv.Itoa(s.Recommended), "-"
		if s.Value != nil {
			value = number(*s.Value)
			if s.Lowest < s.Highest {
				value += fmt.Sprintf(" (%s to %s)", number(s.Lowest), number(s.Highest))
			}
		} else {
			asks = "-"
		}
		if s.Target > 0 {
			target = number(s.Target)
		}
		if s.Source != "" {
			source = s.Source
		}
		rows = append(rows, []string{string(s.Signal), value, target, asks, s.Age(e.Time), source})
		more = append(more, signalNotes(s)...)
	}
	if len(e.Signals) == 0 {
		fmt.Fprintln(out, "  no signal")
		return
	}
	printColumns(out, rows, "  ", width)
	for _, line := range more {
		fmt.Fprintln(out, strings.Join(flow(line, "  ", width), "\n"))
	}
}

// signalNotes are what is to be known of one signal beside its numbers.
func signalNotes(s *explain.Signal) []string {
	var notes []string
	if lacks := s.Lacks(); lacks != "" {
		notes = append(notes, fmt.Sprintf("%s: %s", s.Signal, lacks))
	}
	if s.Reason != "" {
		text := fmt.Sprintf("%s: %s", s.Signal, explain.Meaning(s.Reason))
		if s.Detail != "" {
			text += " (" + oneLine(s.Detail) + ")"
		}
		notes = append(notes, text)
	}
	return notes
}

// podsText counts the pods.
func podsText(f *policy.Fleet) string {
	parts := []string{fmt.Sprintf("pods: %d ready", f.Ready)}
	for _, group := range []struct {
		n    int
		what string
	}{{f.Loading, "loading"}, {f.Overdue, "overdue"}, {f.Unschedulable, "unschedulable"}} {
		if group.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", group.n, group.what))
		}
	}
	return strings.Join(parts, ", ")
}

// printChanges tells what would change the outcome.
func printChanges(out io.Writer, e *explanation, width int) {
	ahead := time.Duration(e.Horizon * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(out, "\nWhat would change it, with all else as it is and looking %v ahead\n", ahead)
	if len(e.Changes) == 0 {
		fmt.Fprintln(out, "  no change of one thing alone")
	}
	for _, c := range e.Changes {
		lines := flow(c.Text, "    ", width)
		lines[0] = "  - " + strings.TrimLeft(lines[0], " ")
		fmt.Fprintln(out, strings.Join(lines, "\n"))
	}
}

// flow breaks a text between words into lines of a width, 0 for one line.
func flow(text, indent string, width int) []string {
	if width <= 0 {
		return []string{indent + text}
	}
	lines := wrap(text, max(width-len(indent)+4, 20))
	for i := range lines {
		lines[i] = indent + strings.TrimLeft(lines[i], " ")
	}
	return lines
}

// printColumns lays cells out in columns. Lines are cut to a width, 0 for none.
func printColumns(out io.Writer, rows [][]string, indent string, width int) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		fmt.Fprintln(out, cut(indent+lay(row, widths), width))
	}
}
