package metrics

import (
	"encoding/json"
	"fmt"
)

// skip consumes one value of any kind. It keeps its own stack, so that a reply of a million brackets costs memory
// in proportion to its bytes and no deep recursion.
func (l *lexer) skip() error {
	var open []byte // the closing byte of every array and object that is open
	first := true   // before the first element of the innermost one
	for {
		if len(open) > 0 {
			end := open[len(open)-1]
			more, err := l.next(first, end)
			if err != nil {
				return err
			}
			if !more {
				if open = open[:len(open)-1]; len(open) == 0 {
					return nil
				}
				first = false
				continue
			}
			if end == '}' {
				if _, err := l.key(anyField); err != nil {
					return err
				}
			}
		}
		opened, err := l.skipOne()
		if err != nil {
			return err
		}
		if opened != 0 {
			if open = append(open, opened); len(open) > maxDepth {
				return fmt.Errorf("%w: nested deeper than %d", errSyntax, maxDepth)
			}
			first = true
			continue
		}
		if len(open) == 0 {
			return nil
		}
		first = false
	}
}

func anyField([]byte) field { return fieldOther }

// skipOne consumes a scalar, or opens an array or object and returns the byte that closes it.
func (l *lexer) skipOne() (byte, error) {
	c, err := l.peek()
	if err != nil {
		return 0, err
	}
	switch c {
	case '{':
		l.pos++
		return '}', nil
	case '[':
		l.pos++
		return ']', nil
	case '"':
		_, err = l.str()
		return 0, err
	}
	text, err := l.literal()
	if err == nil && !json.Valid(text) {
		err = fmt.Errorf("%w: %q", errSyntax, excerpt(string(text)))
	}
	return 0, err
}
