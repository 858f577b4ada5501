package draw

import "strings"

// heading is the title of a chart and its caption, line by line.
type heading struct {
	title   string
	caption []string
}

const headingSize = 17.0

// newHeading breaks the caption into lines that fit.
func newHeading(title, caption string, width float64, measure *canvas) heading {
	h := heading{title: title}
	line := ""
	for _, word := range strings.Fields(caption) {
		longer := strings.TrimSpace(line + " " + word)
		if line != "" && wider*measure.width(longer, textSize) > width-leftMargin/4-rightMargin {
			h.caption = append(h.caption, line)
			longer = word
		}
		line = longer
	}
	if line != "" {
		h.caption = append(h.caption, line)
	}
	return h
}

// height is what it takes, 0 if there is nothing.
func (h *heading) height() float64 {
	height := lineHeight * float64(len(h.caption))
	if h.title != "" {
		height += 1.5 * lineHeight
	}
	if height > 0 {
		height += lineHeight / 2
	}
	return height
}

// draw draws it at the top.
func (h *heading) draw(c *canvas) {
	y := topMargin
	if h.title != "" {
		y += 1.5 * lineHeight
		c.text(h.title, leftMargin/4, y-7, headingSize, c.palette.ink, start)
	}
	for _, line := range h.caption {
		y += lineHeight
		c.text(line, leftMargin/4, y-4, textSize, c.palette.muted, start)
	}
}
