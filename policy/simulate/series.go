package simulate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Series is a sequence of readings in promtool's notation, one a tick. After its end the last one repeats. It is kept as
// it was written, so that "1x1000000000" costs no more than "1".
type Series struct {
	items []item
}

// item is a run of readings: count times first, first+step, first+2*step and so on, or count times no sample.
type item struct {
	first, step float64
	count       uint64
	present     bool
}

// ParseSeries reads promtool's series notation: items with spaces between them, of which
//
//	a       is one reading
//	axn     is n+1 readings of a
//	a+bxn   is n+1 readings: a, a+b, a+2b, ...; a-bxn likewise
//	_       is a missing reading, _xn are n of them
//	stale   is a missing reading too
//
// A number is a decimal one with or without an exponent, NaN or Inf.
func ParseSeries(text string) (Series, error) {
	var s Series
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return s, errors.New("a series needs at least one value, such as 50x10 or _")
	}
	for i, field := range fields {
		it, err := parseItem(field)
		if err != nil {
			return Series{}, fmt.Errorf("item %d, %q, %w", i+1, short(field), err)
		}
		if it.count > 0 {
			s.items = append(s.items, it)
		}
	}
	if len(s.items) == 0 {
		return s, fmt.Errorf("%q has no value: _x0 is no reading at all", short(text))
	}
	return s, nil
}

// parseItem reads one item.
func parseItem(text string) (item, error) {
	value, times, repeated := cutTimes(text)
	it := item{count: 1, present: true}
	if repeated {
		n, err := strconv.ParseUint(times, 10, 63)
		if err != nil {
			return it, fmt.Errorf("is repeated %q times: give a whole number from 0", short(times))
		}
		it.count = n + 1
	}
	switch value {
	case "_":
		it.present = false
		if repeated {
			it.count--
		}
		return it, nil
	case "stale":
		it.present = false
		return it, nil
	}
	first, rest, err := scanNumber(value)
	if err != nil {
		return it, err
	}
	it.first = first
	if rest == "" {
		return it, nil
	}
	if !repeated || rest[0] != '+' && rest[0] != '-' {
		return it, errNotation
	}
	it.step, rest, err = scanNumber(rest)
	if err == nil && rest != "" {
		err = errNotation
	}
	return it, err
}

var errNotation = errors.New("is not allowed: give a, axn, a+bxn, a-bxn, _, _xn or stale, where a and b are numbers and n is a whole number")

// cutTimes cuts an item at its x. No number has one: a hexadecimal 0x40 would be 41 zeros.
func cutTimes(text string) (value, times string, found bool) {
	return strings.Cut(text, "x")
}

// scanNumber reads the number at the beginning of a text, with its sign.
func scanNumber(text string) (v float64, rest string, err error) {
	digits := strings.TrimLeft(text, "+-")
	sign := text[:len(text)-len(digits)]
	if len(sign) > 1 || digits == "" {
		return 0, "", errNotation
	}
	end := numberEnd(digits)
	v, err = number(digits[:end])
	if sign == "-" {
		v = -v
	}
	return v, digits[end:], err
}

// numberEnd finds where the number at the beginning of a text ends: at a sign that is not that of an exponent.
func numberEnd(text string) int {
	for i := 1; i < len(text); i++ {
		if (text[i] == '+' || text[i] == '-') && text[i-1] != 'e' && text[i-1] != 'E' {
			return i
		}
	}
	return len(text)
}

// number reads a number without sign. Like promtool it would take 010 for the octal 8; that is refused, because nobody
// who writes it means it.
func number(text string) (float64, error) {
	switch strings.ToLower(text) {
	case "nan":
		return math.NaN(), nil
	case "inf":
		return math.Inf(1), nil
	}
	if strings.Trim(text, "0123456789.eE+-") != "" {
		return 0, errNotation
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, errNotation
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil && float64(n) != v {
		return 0, fmt.Errorf("begins with 0, which promtool reads as the octal number %d: write %s", n, strings.TrimLeft(text, "0"))
	}
	return v, nil
}

// short cuts a text that is too long to be shown whole.
func short(text string) string {
	const longest = 60
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}

// cursor goes over a Series tick by tick.
type cursor struct {
	items []item
	// at is the position in items, done how many readings of that item have been taken.
	at   int
	done uint64
	// value is the next reading of the item; last and present are the reading taken last.
	value, last float64
	present     bool
}

// cursor returns a cursor before the first reading.
func (s Series) cursor() cursor { return cursor{items: s.items} }

// next returns the reading of the next tick; ok is false if there is none.
func (c *cursor) next() (v float64, ok bool) {
	if c.at == len(c.items) {
		return c.last, c.present
	}
	it := &c.items[c.at]
	if c.done == 0 {
		c.value = it.first
	}
	c.last, c.present = c.value, it.present
	c.value += it.step
	if c.done++; c.done == it.count {
		c.at, c.done = c.at+1, 0
	}
	return c.last, c.present
}
