package metrics

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind sorts the tokens of a PromQL expression as far as finding its selectors needs.
type tokenKind uint8

const (
	tokenEnd      tokenKind = iota
	tokenSpace              // white space and comments
	tokenWord               // metric names, functions, keywords, labels; may contain colons
	tokenNumber             // numbers and durations
	tokenString             // in any of the three kinds of quotes
	tokenVariable           // $name, ours
	tokenMark               // one or two characters of anything else
)

type token struct {
	kind tokenKind
	text string
	at   int // byte offset in the expression
}

// maxExpression bounds an expression that an administrator may name.
const maxExpression = 64 << 10

// tokenize cuts an expression into tokens whose texts, joined, are the expression again.
func tokenize(expr string) ([]token, error) {
	if len(expr) > maxExpression {
		return nil, fmt.Errorf("%d bytes long; at most %d are allowed", len(expr), maxExpression)
	}
	if !utf8.ValidString(expr) {
		return nil, fmt.Errorf("not valid UTF-8")
	}
	var tokens []token
	for at := 0; at < len(expr); {
		kind, length, err := scan(expr[at:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", position(expr, at), err)
		}
		tokens = append(tokens, token{kind, expr[at : at+length], at})
		at += length
	}
	return tokens, nil
}

// position tells people where a byte offset is.
func position(expr string, at int) string {
	line := 1 + strings.Count(expr[:at], "\n")
	return fmt.Sprintf("line %d, column %d", line, at-strings.LastIndexByte(expr[:at], '\n'))
}

// scan returns the kind and the length of the token at the start of s, which is not empty.
func scan(s string) (tokenKind, int, error) {
	switch c := s[0]; {
	case isSpace(c):
		return tokenSpace, span(s, isSpace), nil
	case c == '#':
		return tokenSpace, span(s, func(c byte) bool { return c != '\n' && c != '\r' }), nil
	case isWordStart(c):
		return tokenWord, span(s, isWordPart), nil
	case isDigit(c):
		return tokenNumber, span(s, func(c byte) bool { return isNamePart(c) || c == '.' }), nil
	case strings.IndexByte("\"'`", c) >= 0:
		return scanString(s)
	case c == '$':
		if n := span(s[1:], isNamePart); n > 0 {
			return tokenVariable, 1 + n, nil
		}
	case len(s) > 1 && matchOperators[s[:2]]:
		return tokenMark, 2, nil
	case strings.IndexByte("(){}[],:+-*/%^=!<>@.", c) >= 0:
		return tokenMark, 1, nil
	}
	r, _ := utf8.DecodeRuneInString(s)
	return tokenEnd, 0, fmt.Errorf("character %q is no part of PromQL", r)
}

func scanString(s string) (tokenKind, int, error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return tokenString, i + 1, nil
		case s[i] == '\\' && quote != '`':
			i++
		case s[i] == '\n' && quote != '`':
			return tokenEnd, 0, fmt.Errorf("a string that does not end on its line")
		}
	}
	return tokenEnd, 0, fmt.Errorf("a string that does not end")
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isSpace(c byte) bool     { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isDigit(c byte) bool     { return '0' <= c && c <= '9' }
func isWordPart(c byte) bool  { return isWordStart(c) || isDigit(c) }
func isNamePart(c byte) bool  { return isWordPart(c) && c != ':' }
func isWordStart(c byte) bool { return c == '_' || c == ':' || 'a' <= c|0x20 && c|0x20 <= 'z' }
