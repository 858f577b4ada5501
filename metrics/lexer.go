package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// lexerBuffer is the size of the window on the reply. It is refilled in place, so that a reply of any length
	// is read with constant memory.
	lexerBuffer = 64 << 10
	// maxToken bounds one string of a reply. Prometheus' own label values are far shorter.
	maxToken = 1 << 20
	// maxDepth bounds the nesting of values that are skipped, as encoding/json does.
	maxDepth = 10000
)

// errSyntax marks a reply that is no JSON, or not the JSON that was expected.
var errSyntax = errors.New("unexpected JSON")

// lexer reads JSON from a stream, token by token, without copying what is not wanted. The slices it returns are
// valid until its next call only. It is lenient inside strings (control characters and invalid UTF-8 pass through)
// and strict about structure.
type lexer struct {
	r        io.Reader
	buf      []byte
	pos, end int
	mark     int // start of the token being read, kept by fill; -1 if there is none
	scratch  []byte
}

func newLexer() *lexer { return &lexer{buf: make([]byte, lexerBuffer), mark: -1} }

func (l *lexer) reset(r io.Reader) { l.r, l.pos, l.end, l.mark = r, 0, 0, -1 }

// fill reads more of the stream, keeping everything from mark (or pos) on. It returns io.ErrUnexpectedEOF at the
// end: callers that may stop there check first.
func (l *lexer) fill() error {
	from := l.pos
	if l.mark >= 0 {
		from = l.mark
	}
	if from > 0 {
		copy(l.buf, l.buf[from:l.end])
		l.pos -= from
		l.end -= from
		if l.mark >= 0 {
			l.mark = 0
		}
	}
	if l.end == len(l.buf) {
		if len(l.buf) >= maxToken {
			return fmt.Errorf("%w: a token longer than %d bytes", errSyntax, maxToken)
		}
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	for range 100 { // a reader may return 0, nil; not forever
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if n > 0 {
			return nil
		}
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// peek skips white space and returns the next byte without consuming it.
func (l *lexer) peek() (byte, error) {
	for {
		for l.pos < l.end {
			switch c := l.buf[l.pos]; c {
			case ' ', '\t', '\n', '\r':
				l.pos++
			default:
				return c, nil
			}
		}
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
}

// expect consumes one structural byte.
func (l *lexer) expect(want byte) error {
	c, err := l.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("%w: %q where %q was expected", errSyntax, c, want)
	}
	l.pos++
	return nil
}

// next steps through the elements of an array or object that ends with the byte end: it reports whether there is
// another element, consuming the comma before it or the end. first is true before the first element.
func (l *lexer) next(first bool, end byte) (bool, error) {
	c, err := l.peek()
	if err != nil {
		return false, err
	}
	if c == end {
		l.pos++
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, fmt.Errorf("%w: %q where ',' or %q was expected", errSyntax, c, end)
	}
	l.pos++
	if c, err = l.peek(); err == nil && c == end {
		err = fmt.Errorf("%w: %q after ','", errSyntax, end)
	}
	return true, err
}

// key reads a member's name and the colon after it. The name is valid until the next call: classify it at once.
func (l *lexer) key(classify func([]byte) field) (field, error) {
	name, err := l.str()
	if err != nil {
		return fieldOther, err
	}
	f := classify(name)
	return f, l.expect(':')
}

// str reads a string and returns its unescaped bytes.
func (l *lexer) str() ([]byte, error) {
	if err := l.expect('"'); err != nil {
		return nil, err
	}
	// The common case: the whole string is in the window and has no escape.
	window := l.buf[l.pos:l.end]
	if quote := bytes.IndexByte(window, '"'); quote >= 0 && bytes.IndexByte(window[:quote], '\\') < 0 {
		l.pos += quote + 1
		return window[:quote], nil
	}
	l.mark = l.pos
	s, err := l.long()
	l.mark = -1
	return s, err
}

// long reads the rest of a string that begins at mark, refilling the window as needed.
func (l *lexer) long() ([]byte, error) {
	for {
		window := l.buf[l.pos:l.end]
		quote := bytes.IndexByte(window, '"')
		if quote >= 0 {
			window = window[:quote]
		}
		if escape := bytes.IndexByte(window, '\\'); escape >= 0 {
			l.pos += escape
			return l.escaped()
		}
		l.pos += len(window)
		if quote >= 0 {
			s := l.buf[l.mark:l.pos]
			l.pos++
			return s, nil
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// raw consumes one byte, white space included.
func (l *lexer) raw() (byte, error) {
	if l.pos == l.end {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	c := l.buf[l.pos]
	l.pos++
	return c, nil
}

// literal reads a number, true, false or null and returns its bytes.
func (l *lexer) literal() ([]byte, error) {
	if _, err := l.peek(); err != nil {
		return nil, err
	}
	l.mark = l.pos
	defer func() { l.mark = -1 }()
	for {
		for l.pos < l.end {
			switch l.buf[l.pos] {
			case ' ', '\t', '\n', '\r', ',', ']', '}', ':', '"', '{', '[':
				return l.buf[l.mark:l.pos], nil
			}
			l.pos++
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// finish checks that nothing but white space follows, up to the end of the stream.
func (l *lexer) finish() error {
	c, err := l.peek()
	if err == nil {
		return fmt.Errorf("%w: %q after the end of the reply", errSyntax, c)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
