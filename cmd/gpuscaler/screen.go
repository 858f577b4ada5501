package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// screen draws a block of lines at the end of a terminal again and again in the same place. Log lines written to it go
// above the block.
type screen struct {
	out io.Writer
	// size returns columns and lines of the terminal.
	size func() (width, height int)

	mu    sync.Mutex
	lines []string
}

// newScreen draws on a terminal.
func newScreen(out io.Writer) *screen {
	return &screen{out: out, size: func() (int, int) {
		if f, ok := out.(*os.File); ok {
			// A terminal without a size, as script and some CI systems make, says 0.
			if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
				return width, height
			}
		}
		return 80, 24
	}}
}

// show replaces the block. The caller has cut its lines to the width; what does not fit in height is counted instead.
func (s *screen) show(lines []string) {
	_, height := s.size()
	if room := max(height-1, 2); len(lines) > room {
		left := len(lines) - room + 1
		lines = append(lines[:room-1:room-1], fmt.Sprintf("… and %d more", left))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(s.out, s.erase(), block(lines))
	s.lines = lines
}

// Write puts a log line above the block.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprint(s.out, s.erase(), string(p), block(s.lines)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// erase moves to where the block begins and clears from there.
func (s *screen) erase() string {
	if len(s.lines) == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", len(s.lines))
}

// block ends each line.
func block(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
