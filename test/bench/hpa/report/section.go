package report

import (
	"fmt"
	"strings"
)

// The lines between which a page holds what the benchmark wrote.
const (
	Begin = "<!-- made by make bench-hpa -->"
	End   = "<!-- end of what make bench-hpa made -->"
)

// Replace returns the page with a new text between the lines Begin and End, each of which it must have once.
func Replace(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, Begin+"\n")
	if !ok {
		return "", fmt.Errorf("there is no line %q to write after", Begin)
	}
	_, after, ok := strings.Cut(rest, End+"\n")
	if !ok {
		return "", fmt.Errorf("there is no line %q after %q", End, Begin)
	}
	if strings.Contains(after, Begin) || strings.Contains(after, End) {
		return "", fmt.Errorf("there is more than one section between %q and %q", Begin, End)
	}
	return before + Begin + "\n\n" + strings.Trim(text, "\n") + "\n\n" + End + "\n" + after, nil
}
