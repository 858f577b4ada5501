package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/explain"
)

// showHistory shows the past decisions that the running controller keeps.
func (o *explainOptions) showHistory(cmd *cobra.Command, g *globals, c *cluster) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "Looking at %s of %s\n", o.scope(c), c.describe())
	h, err := o.ask(cmd.Context(), c, o.history)
	if err != nil {
		return fmt.Errorf("the history is kept by the running controller alone, and it did not tell it: %w; --controller-url names its Service, and without --history the present decision is computed here", err)
	}
	if g.output != tableOutput {
		return printValue(cmd.OutOrStdout(), g.output, h)
	}
	return printHistory(cmd.OutOrStdout(), &h)
}

// past is one line of the history: decisions that look the same in a table.
type past struct {
	from, last time.Time
	ticks      int
	cells      []string
	message    string
}

// printHistory prints the past decisions.
func printHistory(to io.Writer, h *controller.History) error {
	out := bufio.NewWriter(to)
	if len(h.Records) == 0 {
		fmt.Fprintln(out, "no decision was made in that time")
	}
	layout := time.TimeOnly
	if lines := pastOf(h.Records); len(lines) > 0 {
		first, last := lines[0].from, lines[len(lines)-1].last
		if first.Format(time.DateOnly) != last.Format(time.DateOnly) {
			layout = "01-02 15:04:05"
		}
		fmt.Fprintf(out, "From %s, times in UTC. STAGES recommended>guarded>stabilized>limited where they differ from DESIRED.\n\n", first.Format(time.DateTime))
		rows := [][]string{{"FROM", "LAST", "TICKS", "REPLICAS", "READY", "SIGNALS", "STAGES", "DESIRED", "REASON", "MESSAGE"}}
		for _, l := range lines {
			rows = append(rows, slices.Concat([]string{l.from.Format(layout), l.last.Format(layout), strconv.Itoa(l.ticks)}, l.cells, []string{l.message}))
		}
		printColumns(out, rows, "", terminalWidth(to))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the history: %w", err)
	}
	return nil
}

// pastOf folds decisions that look the same.
func pastOf(records []controller.Record) []past {
	var lines []past
	for i := range records {
		r := &records[i]
		d := &r.Decision
		from := r.Last
		if r.Input != nil {
			from = r.Input.Time.UTC()
		}
		cells := []string{
			strconv.Itoa(d.Current), strconv.Itoa(d.Fleet.Ready), signalsText(d),
			stages([]int{d.Recommended, d.Guarded, d.Stabilized, d.Limited}, d.Desired), strconv.Itoa(d.Desired), string(d.Reason),
		}
		if n := len(lines); n > 0 && d.Current == d.Desired && slices.Equal(lines[n-1].cells, cells) {
			lines[n-1].last = r.Last
			lines[n-1].ticks += r.Ticks
			continue
		}
		lines = append(lines, past{from, r.Last, r.Ticks, cells, oneLine(d.Message)})
	}
	return lines
}

// signalsText renders what was read as value/target, in the order of the documentation.
func signalsText(o *policy.Outcome) string {
	text := ""
	for _, signal := range explain.InOrder(o.Signals) {
		s := o.Signals[signal]
		value, target := "?", ""
		if s.Value != nil {
			value = number(*s.Value)
		}
		if s.Target > 0 {
			target = "/" + number(s.Target)
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %s%s", signal, value, target)
	}
	if text == "" {
		return "-"
	}
	return text
}
