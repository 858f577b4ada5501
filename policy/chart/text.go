package chart

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Text tells in a sentence what the chart shows, for those who do not see it.
func (c Chart) Text() string {
	if len(c.Panels) == 0 {
		return "A chart of no decisions."
	}
	var parts []string
	for i := range c.Panels {
		for j := range c.Panels[i].Lines {
			if text := c.Panels[i].Lines[j].text(); text != "" {
				parts = append(parts, text)
			}
		}
	}
	text := fmt.Sprintf("Chart from %s to %s UTC: %s.", c.Start.UTC().Format(time.DateTime), c.End.UTC().Format(time.DateTime), strings.Join(parts, ", "))
	if held := c.held(); held != "" {
		text += " Held by " + held + "."
	}
	return text
}

// text tells between which values a line lies, of those lines that matter most.
func (l *Line) text() string {
	if l.Role != Desired && l.Role != Value && l.Role != Run {
		return ""
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range l.Points {
		if !math.IsNaN(p.Value) {
			low, high = min(low, p.Value), max(high, p.Value)
		}
	}
	name := l.Name
	if l.Role == Desired {
		name = "desired replicas"
	}
	switch {
	case low > high:
		return name + " without a value"
	case low == high:
		return fmt.Sprintf("%s at %.4g", name, low)
	}
	return fmt.Sprintf("%s between %.4g and %.4g", name, low, high)
}

// held lists the reasons of the bands, in the order in which they first held.
func (c *Chart) held() string {
	var names []string
	seen := map[string]bool{}
	for _, b := range c.Bands {
		if name := string(b.Reason); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
