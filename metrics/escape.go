package metrics

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escaped reads the rest of a string whose first backslash is at pos.
func (l *lexer) escaped() ([]byte, error) {
	l.scratch = append(l.scratch[:0], l.buf[l.mark:l.pos]...)
	l.mark = -1
	for {
		c, err := l.raw()
		switch {
		case err != nil:
			return nil, err
		case c == '"':
			return l.scratch, nil
		case c != '\\':
			l.scratch = append(l.scratch, c)
		default:
			if err := l.escape(); err != nil {
				return nil, err
			}
		}
		if len(l.scratch) > maxToken {
			return nil, fmt.Errorf("%w: a string longer than %d bytes", errSyntax, maxToken)
		}
	}
}

// escape reads one escape sequence, whose backslash is consumed, into scratch.
func (l *lexer) escape() error {
	c, err := l.raw()
	if err != nil {
		return err
	}
	switch c {
	case '"', '\\', '/':
		l.scratch = append(l.scratch, c)
	case 'b', 'f', 'n', 'r', 't':
		l.scratch = append(l.scratch, map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c])
	case 'u':
		return l.unicode()
	default:
		return fmt.Errorf("%w: escape \\%c in a string", errSyntax, c)
	}
	return nil
}

// unicode reads the four digits after \u and, for a surrogate, its other half. Lone halves become U+FFFD, as in
// encoding/json.
func (l *lexer) unicode() error {
	r, err := l.hex4()
	if err != nil {
		return err
	}
	for utf16.IsSurrogate(r) {
		next, err := l.peekEscape()
		if err != nil {
			return err
		}
		if !next {
			r = utf8.RuneError
			break
		}
		low, err := l.hex4()
		if err != nil {
			return err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			r = pair
			break
		}
		l.scratch = utf8.AppendRune(l.scratch, utf8.RuneError)
		r = low
	}
	l.scratch = utf8.AppendRune(l.scratch, r)
	return nil
}

// peekEscape consumes \u if it comes next and reports whether it did.
func (l *lexer) peekEscape() (bool, error) {
	for l.end-l.pos < 2 {
		if err := l.fill(); err != nil {
			return false, err
		}
	}
	if l.buf[l.pos] != '\\' || l.buf[l.pos+1] != 'u' {
		return false, nil
	}
	l.pos += 2
	return true, nil
}

func (l *lexer) hex4() (rune, error) {
	var digits [4]byte
	for i := range digits {
		c, err := l.raw()
		if err != nil {
			return 0, err
		}
		digits[i] = c
	}
	n, err := strconv.ParseUint(string(digits[:]), 16, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: escape \\u%q in a string", errSyntax, digits)
	}
	return rune(n), nil
}
