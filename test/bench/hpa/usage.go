package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of CPU time in /proc: Linux fixes it for all programs.
const ticksPerSecond = 100

// usage is what a process has taken so far.
type usage struct {
	// cpu is in seconds, with a resolution of 10 ms.
	cpu float64
	// resident is in bytes.
	resident float64
}

// usageOf reads that of a process from /proc.
func usageOf(pid int) (usage, error) {
	var u usage
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, fmt.Errorf("reading what a process has used: %w", err)
	}
	// The second field is the name in parentheses, which may hold anything; the 14th and 15th are user and system time, the 24th
	// the pages in memory.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 22 {
		return u, fmt.Errorf("reading what process %d has used: %d fields, want 22 and more", pid, len(fields))
	}
	number := func(i int) (n float64) {
		if err == nil {
			n, err = strconv.ParseFloat(fields[i-3], 64)
		}
		return n
	}
	u.cpu = (number(14) + number(15)) / ticksPerSecond
	u.resident = number(24) * float64(os.Getpagesize())
	return u, err
}
