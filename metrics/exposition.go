package metrics

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unsafe"
)

// The text that exporters write, in both of its formats: Prometheus' own ("text format", version 0.0.4) and OpenMetrics. A
// line is a comment, blank, or one sample:
//
//	name{label="value",...} value [timestamp] [# exemplar]
//
// Of the thousand lines of a page a hundred are wanted. The others are told by their name and not looked at any further,
// which is what makes this several times faster than parsing the whole page (see BenchmarkPage).

// Bounds of a page, wanted or not. The first is the size of the read buffer; without the second, sixteen megabytes of line feeds
// would cost a second.
const (
	maxLine  = 32 << 10
	maxLines = 1 << 18
)

// Failures of a page.
var (
	errText      = errors.New("unexpected text")
	errTruncated = errors.New("the page ends in the middle")
	errTime      = errors.New("a sample with a time that cannot be")
	errLongLine  = fmt.Errorf("a line longer than %d bytes", maxLine)
	errManyLines = fmt.Errorf("more than %d lines", maxLines)
)

// expositionReader hands out the wanted lines of a page.
type expositionReader struct {
	buf         *bufio.Reader
	openMetrics bool
	ended       bool // # EOF was read
	lines       int
}

// next returns the next line without its line feed; io.EOF is the proper end of the page. Text ends with a line feed and
// OpenMetrics with "# EOF": a page without is the beginning of one.
func (e *expositionReader) next() ([]byte, error) {
	text, err := e.buf.ReadSlice('\n')
	e.lines++
	switch {
	case e.lines > maxLines:
		return nil, errManyLines
	case err == nil:
		text = text[:len(text)-1]
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLongLine
	case !errors.Is(err, io.EOF):
		return nil, err
	case len(text) == 0 && (e.ended || !e.openMetrics):
		return nil, io.EOF
	case !e.openMetrics || string(text) != "# EOF":
		return nil, errTruncated
	}
	if e.ended {
		return nil, fmt.Errorf("%w: text after # EOF", errText)
	}
	e.ended = e.openMetrics && string(text) == "# EOF"
	return text, nil
}

// trimBlank removes the blanks that may stand before a token.
func trimBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// metricName is the length of the name that a line begins with: 0 for comments, blank lines and names in quotes, which no
// source has.
func metricName(text []byte) int {
	for i, c := range text {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(text)
}

// seriesEnd is the length of name and labels, given that of the name.
func seriesEnd(text []byte, name int) (int, error) {
	rest := trimBlank(text[name:])
	if len(rest) == 0 || rest[0] != '{' {
		return name, nil
	}
	quoted := false
	for i := len(text) - len(rest); i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '}' && !quoted:
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%w: labels without end in %q", errText, excerpt(string(text)))
}

// parseValue reads what follows the labels.
func (e *expositionReader) parseValue(rest []byte) (value float64, ms int64, err error) {
	word, rest := nextWord(rest)
	if bytes.IndexByte(word, '_') >= 0 || len(word) == 0 {
		return 0, 0, fmt.Errorf("%w: value %q", errText, excerpt(string(word)))
	}
	if value, err = parseFloat(word); err != nil {
		return 0, 0, fmt.Errorf("%w: value %q", errText, excerpt(string(word)))
	}
	if word, rest = nextWord(rest); len(word) > 0 && !(e.openMetrics && word[0] == '#') {
		if ms, err = e.parseTime(word); err != nil {
			return 0, 0, err
		}
		word, rest = nextWord(rest)
	}
	// What OpenMetrics lets follow is an exemplar. It is not read.
	if exemplar := e.openMetrics && string(word) == "#"; !exemplar && len(word)+len(rest) > 0 {
		return 0, 0, fmt.Errorf("%w: %q after the sample", errText, excerpt(string(word)))
	}
	return value, ms, nil
}

// nextWord cuts the text at the next blank.
func nextWord(text []byte) (word, rest []byte) {
	text = trimBlank(text)
	for i, c := range text {
		if c == ' ' || c == '\t' {
			return text[:i], trimBlank(text[i:])
		}
	}
	return text, nil
}

// parseTime reads a timestamp: milliseconds in text, seconds in OpenMetrics. The time 0 would be none at all and becomes 1.
func (e *expositionReader) parseTime(word []byte) (int64, error) {
	var ms int64
	var err error
	if e.openMetrics {
		var seconds float64
		seconds, err = parseFloat(word)
		if math.Abs(seconds) > 1<<33 { // of the year 2242
			return 0, fmt.Errorf("%w: %s", errTime, excerpt(string(word)))
		}
		if math.IsNaN(seconds) {
			err = errText
		}
		ms = int64(math.Floor(seconds * 1000))
	} else {
		ms, err = strconv.ParseInt(unsafe.String(unsafe.SliceData(word), len(word)), 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: timestamp %q", errText, excerpt(string(word)))
	}
	if ms == 0 {
		ms = 1
	}
	return ms, nil
}
