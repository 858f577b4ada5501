package serving

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Request is one request of a trace.
type Request struct {
	// At is when it arrives, counted from the start of the load.
	At time.Duration
	// PromptTokens and OutputTokens are its size, each at least 1.
	PromptTokens, OutputTokens int
}

const (
	traceHeader = "TIMESTAMP,ContextTokens,GeneratedTokens"
	byteOrder   = "\ufeff" // some spreadsheets begin a CSV file with it
)

// traceLayouts are the ways in which the published traces write a time. Go's parser accepts any number of fractional
// digits after the seconds by itself.
var traceLayouts = []string{
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05Z07:00",
	time.RFC3339,
}

// ParseTrace reads a trace of requests in the format of the Azure LLM inference traces: a line of names, then one
// request a line, `2023-11-16 18:17:03.9799600,4808,10`. The requests come back in order of time, the first at 0s.
// An error names the line, the value and what is allowed.
func ParseTrace(r io.Reader) ([]Request, error) {
	type dated struct {
		at time.Time
		Request
	}
	var rows []dated
	lines := bufio.NewScanner(r)
	number := 0
	for lines.Scan() {
		number++
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), byteOrder))
		switch {
		case number == 1 && text != traceHeader:
			return nil, fmt.Errorf("reading trace: line 1: %q is not allowed: want the names %s", shorten(text), traceHeader)
		case number == 1 || text == "":
			continue
		}
		at, request, err := parseRow(text)
		if err != nil {
			return nil, fmt.Errorf("reading trace: line %d: %w", number, err)
		}
		rows = append(rows, dated{at, request})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading trace: line %d: %w", number+1, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("reading trace: no requests in %d lines: want %s and at least one line below it", number, traceHeader)
	}
	slices.SortStableFunc(rows, func(a, b dated) int { return a.at.Compare(b.at) })
	requests := make([]Request, len(rows))
	for i, row := range rows {
		requests[i] = row.Request
		requests[i].At = row.at.Sub(rows[0].at)
	}
	return requests, nil
}

// parseRow reads one line of a trace. The request's At is left zero: it depends on the first line.
func parseRow(text string) (time.Time, Request, error) {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return time.Time{}, Request{}, fmt.Errorf("%d fields in %q: want 3, %s", len(fields), shorten(text), traceHeader)
	}
	at, err := parseStamp(fields[0])
	prompt, promptErr := parseTokens("ContextTokens", fields[1])
	output, outputErr := parseTokens("GeneratedTokens", fields[2])
	return at, Request{PromptTokens: prompt, OutputTokens: output}, errors.Join(err, promptErr, outputErr)
}

func parseStamp(field string) (time.Time, error) {
	for _, layout := range traceLayouts {
		if at, err := time.Parse(layout, field); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("TIMESTAMP %q is not allowed: want a time like 2023-11-16 18:17:03.9799600", shorten(field))
}

func parseTokens(name, field string) (int, error) {
	tokens, err := strconv.Atoi(field)
	if err != nil || tokens < 1 || tokens > maxTokens {
		return 0, fmt.Errorf("%s %q is not allowed: want a whole number from 1 to %d", name, shorten(field), maxTokens)
	}
	return tokens, nil
}

// shorten keeps an error message readable when the wrong file was given.
func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
