package main

import (
	"fmt"
	"io"
	"strings"
)

// barWidth is how many characters a progress bar has.
const barWidth = 30

// progressBar tells a person how much of a number of steps is done. Where nobody watches it prints nothing.
type progressBar struct {
	out         io.Writer
	terminal    bool
	what        string
	done, total int
}

// newProgressBar shows an empty bar.
func newProgressBar(out io.Writer, terminal bool, what string, total int) *progressBar {
	b := &progressBar{out: out, terminal: terminal, what: what, total: max(total, 1)}
	b.show()
	return b
}

// step is one more step done.
func (b *progressBar) step() {
	b.done = min(b.done+1, b.total)
	b.show()
}

func (b *progressBar) show() {
	if !b.terminal {
		return
	}
	full := b.done * barWidth / b.total
	fmt.Fprintf(b.out, "\r\x1b[K%s [%s%s] %d %%", b.what, strings.Repeat("#", full), strings.Repeat("-", barWidth-full), b.done*100/b.total)
}

// stop takes the bar away.
func (b *progressBar) stop() {
	if b.terminal {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
