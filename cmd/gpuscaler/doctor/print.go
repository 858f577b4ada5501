package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// titles are those of the parts before the workloads.
var titles = []string{"Cluster and rights", "Prometheus"}

// The colours, as terminals want them.
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// colours are those of the severities.
var colours = map[Severity]string{OK: green, Warning: yellow, Error: red}

// Print prints a Report for people, grouped by what it is about, what to do about a Finding below it. A width of 0 is no terminal.
func Print(out io.Writer, report *Report, width int, colour bool) error {
	var b strings.Builder
	severities, checks := 0, 0
	for i := range report.Findings {
		severities = max(severities, len(report.Findings[i].Severity))
		checks = max(checks, len(labelOf(&report.Findings[i])))
	}
	title := ""
	for i := range report.Findings {
		f := &report.Findings[i]
		if next := titleOf(f); next != title {
			if title != "" {
				b.WriteString("\n")
			}
			title = next
			b.WriteString(painted(title, bold, colour) + "\n")
		}
		severity := painted(fmt.Sprintf("%-*s", severities, f.Severity), colours[f.Severity], colour)
		indent := 2 + severities + 2 + checks + 2
		fmt.Fprintf(&b, "  %s  %-*s  %s\n", severity, checks, labelOf(f), hanging(f.Message, indent, width))
		if f.Advice != "" {
			fmt.Fprintf(&b, "%*s-> %s\n", indent, "", hanging(f.Advice, indent+3, width))
		}
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("printing the findings: %w", err)
	}
	return nil
}

// titleOf is the heading that a Finding stands below.
func titleOf(f *Finding) string {
	if int(f.part) < len(titles) {
		return titles[f.part]
	}
	return f.Namespace + "/" + f.Name
}

// labelOf is the check, and the signal if it is about one.
func labelOf(f *Finding) string {
	if f.Signal == "" {
		return string(f.Check)
	}
	return string(f.Check) + " " + f.Signal
}

// painted colours a text on terminals that want it.
func painted(text, with string, colour bool) string {
	if !colour || with == "" {
		return text
	}
	return with + text + plain
}

// minColumn is the narrowest column into which text is broken; a terminal that is narrower breaks the lines itself.
const minColumn = 24

// hanging breaks a text between words for what is left of the width beside an indentation.
func hanging(text string, indent, width int) string {
	if width-indent < minColumn {
		return text
	}
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width-indent:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = 0
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
