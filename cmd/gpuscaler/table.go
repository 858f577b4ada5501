package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// row is one workload in a table.
type row struct {
	namespace, name, current, desired, signals, reason, message string
}

// headings are those of the columns of a row.
var headings = row{"NAMESPACE", "NAME", "CURRENT", "DESIRED", "SIGNAL", "REASON", "MESSAGE"}

// cells returns the columns in their order.
func (r *row) cells() []string {
	return []string{r.namespace, r.name, r.current, r.desired, r.signals, r.reason, r.message}
}

// rowsOf renders a Snapshot.
func rowsOf(s *controller.Snapshot) []row {
	rows := make([]row, len(s.Workloads))
	for i := range s.Workloads {
		w := &s.Workloads[i]
		d := w.Decision
		rows[i] = row{
			namespace: w.Namespace, name: w.Name,
			current: strconv.Itoa(d.Current), desired: strconv.Itoa(d.Desired),
			signals: signalsOf(d), reason: string(d.Reason), message: oneLine(w.Message()),
		}
	}
	return rows
}

// signalsOf renders what was read as value/target, first the signal that asks for the most.
func signalsOf(d *policy.Decision) string {
	leading := d.Leading()
	var parts []string
	for i := range d.Signals {
		s := &d.Signals[i]
		text := string(s.Signal) + " " + valueOf(s)
		if s.Target > 0 {
			text += "/" + number(s.Target)
		}
		text += origin(s.Source)
		if s == leading {
			parts = slices.Insert(parts, 0, text)
		} else {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// origin is who told a signal if it was not Prometheus alone: what stands in brackets behind the name of the metric.
func origin(source string) string {
	if i := strings.IndexByte(source, ' '); i > 0 && strings.HasSuffix(source, ")") {
		return source[i:]
	}
	return ""
}

// valueOf is a signal's value, or a question mark where there is none.
func valueOf(s *policy.SignalDecision) string {
	if s.Sampled == 0 {
		return "?"
	}
	return number(s.Value)
}

// number prints a reading in as many digits as say something.
func number(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// oneLine joins the lines of a message.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// gap is between two columns.
const gap = "  "

// tableOf lays rows out below the headings, on a terminal of a width; 0 is no terminal. Where it is too
// narrow, reason and message go on a line of their own below the numbers: they say why.
func tableOf(rows []row, width int, paint func(r *row, line string) string) []string {
	all := append([]row{headings}, rows...)
	widths := make([]int, len(headings.cells()))
	for i := range all {
		for j, cell := range all[i].cells() {
			widths[j] = max(widths[j], utf8.RuneCountInString(cell))
		}
	}
	total := (len(widths) - 1) * len(gap)
	for _, w := range widths {
		total += w
	}
	below := width > 0 && total > width
	var lines []string
	for i := range all {
		r := all[i]
		if below {
			r.reason, r.message = "", ""
		}
		lines = append(lines, paint(&r, cut(lay(r.cells(), widths), width)))
		if below && i > 0 {
			lines = append(lines, wrap(all[i].reason+": "+all[i].message, width)...)
		}
	}
	return lines
}

// lay pads cells to the widths of their columns.
func lay(cells []string, widths []int) string {
	var b strings.Builder
	for j, cell := range cells {
		b.WriteString(cell)
		if j < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)) + gap)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// wrap breaks a text between words into indented lines of a width. A word that is longer is cut.
func wrap(text string, width int) []string {
	const indent = "    "
	var lines []string
	line := indent
	for _, word := range strings.Fields(text) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, cut(line, width))
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return append(lines, cut(line, width))
}

// The colours, as terminals want them.
const (
	bold   = "\x1b[1m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// unpainted leaves lines as they are.
func unpainted(_ *row, line string) string { return line }

// painted colours the lines of a table: what would be raised green, what would be lowered yellow.
func painted(r *row, line string) string {
	current, err := strconv.Atoi(r.current)
	if err != nil {
		return bold + line + plain // the headings
	}
	switch desired, _ := strconv.Atoi(r.desired); {
	case desired > current:
		return green + line + plain
	case desired < current:
		return yellow + line + plain
	}
	return line
}

// cut shortens a line to a width; 0 is no limit.
func cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// paintFor returns how lines are coloured there (https://no-color.org).
func paintFor(out io.Writer) func(*row, string) string {
	if colour(out) {
		return painted
	}
	return unpainted
}

// colour reports whether what is printed there is coloured.
func colour(out io.Writer) bool { return isTerminal(out) && os.Getenv("NO_COLOR") == "" }

// printTable prints a Snapshot.
func printTable(out io.Writer, s *controller.Snapshot) error {
	lines := tableOf(rowsOf(s), terminalWidth(out), paintFor(out))
	if _, err := fmt.Fprintln(out, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}
