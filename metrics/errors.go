package metrics

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The kinds of failure: a closed set, to be told apart with errors.Is. Every error that this package returns from
// a read wraps exactly one of them. None of them ever stands for a value: the caller holds (policy rule 1).
var (
	// ErrUnreachable: no complete reply arrived in time (name resolution, connection, TLS, deadline, broken body).
	ErrUnreachable = errors.New("unreachable")
	// ErrUnauthorized: the server answered 401 or 403.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrUnavailable: the server is there and answered 429 or 5xx; it may recover by itself.
	ErrUnavailable = errors.New("unavailable")
	// ErrRefused: the server understood us and refused the query (other 4xx, or status "error").
	ErrRefused = errors.New("query refused")
	// ErrMalformed: the reply is no Prometheus answer that we could trust (HTML, a redirect, a wrong result type,
	// broken JSON, more than the limit of bytes or series, native histograms).
	ErrMalformed = errors.New("malformed reply")
	// ErrPartial: the server answered and warned that data is missing. Controllers report it as PartialData.
	ErrPartial = errors.New("partial reply")
	// ErrNoSource: nothing in this package can read the signal that was asked for.
	ErrNoSource = errors.New("no source")
)

// Error is a failed read: what was asked of whom, what came back, and what to do next.
type Error struct {
	Kind    error  // one of the kinds above
	Server  string // base URL, without user information and query string
	Status  int    // HTTP status, 0 if there was none
	Message string // what happened: short, one line, without secrets
	Hint    string // what to do next
	Cause   error  // the underlying error, if any
}

// Error returns the failure as one line that ends with what to do next.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "querying Prometheus at %s: %v", e.Server, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Unwrap gives errors.Is both the kind and the cause, so that a caller can also ask for context.Canceled.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// excerptBytes bounds what an error repeats of a reply: enough to recognise it, too little to leak a page.
const excerptBytes = 240

// excerpt makes foreign text fit for a log line and an Event: one line, printable, short, and with anything that
// looks like a credential masked. Replies are reflected to people who may not read the server's configuration.
func excerpt(text string) string {
	if len(text) > 4*excerptBytes {
		text = text[:4*excerptBytes]
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == utf8.RuneError || !strconv.IsPrint(r) })
	hideNext := false
	for i, word := range words {
		lower := strings.ToLower(strings.Trim(word, `"',:;`))
		if hideNext || looksSecret(word) {
			words[i] = "[redacted]"
		}
		hideNext = lower == "bearer" || lower == "basic"
	}
	line := strings.Join(words, " ")
	if len(line) > excerptBytes {
		line = strings.ToValidUTF8(line[:excerptBytes], "") + "..."
	}
	return line
}

// looksSecret reports whether a word looks like a token: long, and of the alphabet of base64 or hexadecimal only.
// Metric names stay readable: they have no digits in a run of forty characters without a separator.
func looksSecret(word string) bool {
	word = strings.Trim(word, `"'(),;`)
	if strings.Contains(word, "://") && strings.Contains(word, "@") {
		return true
	}
	if len(word) < 32 {
		return false
	}
	digits := 0
	for _, r := range word {
		switch {
		case '0' <= r && r <= '9':
			digits++
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', strings.ContainsRune("+/=_-.", r):
		default:
			return false
		}
	}
	return digits >= 4
}
