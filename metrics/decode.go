package metrics

import (
	"fmt"
	"io"
)

// labelSet holds the values of the wanted labels of one series; an absent label is empty, as in PromQL.
type labelSet [labelFields]string

// point is one sample: seconds since 1970 by the server's clock, and the value.
type point struct{ t, v float64 }

// reply is what a Prometheus reply says beside its samples.
type reply struct {
	status, errorType, message string
	resultType                 string
	warnings                   []string // without those that are only infos
	series                     int
}

// decoder reads one Prometheus reply at a time and hands each sample to a function, in one pass and with memory
// that does not grow with the reply: a vector of 100,000 series is tens of megabytes of text, of which a few
// labels are wanted.
type decoder struct {
	lex    *lexer
	names  *interner
	labels labelSet
	points []point
	want   string // result type
	time   []byte // text of the last timestamp: all samples of a vector share it
	timeV  float64
	emit   func(labels *labelSet, t, v float64)
}

func newDecoder() *decoder { return &decoder{lex: newLexer(), names: &interner{}} }

// decode reads the whole reply. Samples are handed out while reading, so that they must be thrown away if an error
// is returned or if the reply turns out to carry warnings.
func (d *decoder) decode(r io.Reader, want string, emit func(*labelSet, float64, float64)) (reply, error) {
	d.lex.reset(r)
	d.want, d.emit = want, emit
	var rep reply
	if err := d.object(memberField, func(f field) error { return d.envelope(f, &rep) }); err != nil {
		return rep, err
	}
	return rep, d.lex.finish()
}

// object reads an object and calls member for each of its names; member consumes the value.
func (d *decoder) object(classify func([]byte) field, member func(field) error) error {
	if err := d.lex.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := d.lex.next(first, '}')
		if err != nil || !more {
			return err
		}
		f, err := d.lex.key(classify)
		if err != nil {
			return err
		}
		if err := member(f); err != nil {
			return err
		}
	}
}

// array reads an array and calls element before each of its elements; element consumes it.
func (d *decoder) array(element func() error) error {
	if err := d.lex.expect('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := d.lex.next(first, ']')
		if err != nil || !more {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

var errTwice = fmt.Errorf("%w: a member that appears twice", errSyntax)

func (d *decoder) envelope(f field, rep *reply) error {
	switch f {
	case fieldStatus:
		return d.once(&rep.status)
	case fieldErrorType:
		return d.once(&rep.errorType)
	case fieldError:
		return d.once(&rep.message)
	case fieldWarnings:
		return d.warnings(rep)
	case fieldData:
		if rep.resultType != "" || rep.series > 0 {
			return errTwice
		}
		if null, err := d.null(); null || err != nil {
			return err
		}
		return d.object(memberField, func(f field) error { return d.data(f, rep) })
	}
	return d.lex.skip()
}

func (d *decoder) data(f field, rep *reply) error {
	switch f {
	case fieldResultType:
		if err := d.once(&rep.resultType); err != nil {
			return err
		}
		return d.checkType(rep)
	case fieldResult:
		if rep.series > 0 {
			return errTwice
		}
		return d.array(func() error {
			if rep.series++; rep.series > maxSeries {
				return errManySeries
			}
			return d.series()
		})
	}
	return d.lex.skip()
}

// maxSeries bounds the series of one reply, which take more memory than their text where that is short. One of DefaultMaxBytes holds fewer
// of the usual length.
const maxSeries = 300_000

var errManySeries = fmt.Errorf("more than %d series", maxSeries)

// checkType refuses a scalar, a string or the other of vector and matrix before its numbers are taken for samples.
func (d *decoder) checkType(rep *reply) error {
	if rep.resultType != d.want {
		return fmt.Errorf("%w: result type %q where %q was expected", errSyntax, excerpt(rep.resultType), d.want)
	}
	return nil
}

// once reads a string member that must not appear twice.
func (d *decoder) once(into *string) error {
	if *into != "" {
		return errTwice
	}
	s, err := d.lex.str()
	*into = string(s)
	return err
}

// null consumes the literal null and reports whether it was there.
func (d *decoder) null() (bool, error) {
	c, err := d.lex.peek()
	if err != nil || c != 'n' {
		return false, err
	}
	text, err := d.lex.literal()
	if err == nil && string(text) != "null" {
		err = fmt.Errorf("%w: %q", errSyntax, excerpt(string(text)))
	}
	return true, err
}

// infoPrefix begins the annotations that say nothing about completeness. Servers before 2.53 put them among the
// warnings; a control loop must not stop for "metric might not be a counter".
const infoPrefix = "PromQL info:"

// maxWarnings bounds how many warnings are kept; one is enough to hold.
const maxWarnings = 8

func (d *decoder) warnings(rep *reply) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	return d.array(func() error {
		s, err := d.lex.str()
		if err != nil {
			return err
		}
		if len(s) >= len(infoPrefix) && string(s[:len(infoPrefix)]) == infoPrefix {
			return nil
		}
		if len(rep.warnings) < maxWarnings {
			rep.warnings = append(rep.warnings, excerpt(string(s)))
		}
		return nil
	})
}

// series reads one element of the result and hands out its samples.
func (d *decoder) series() error {
	d.labels = labelSet{}
	d.points = d.points[:0]
	if err := d.object(memberField, d.member); err != nil {
		return err
	}
	for _, p := range d.points {
		d.emit(&d.labels, p.t, p.v)
	}
	return nil
}

func (d *decoder) member(f field) error {
	switch f {
	case fieldMetric:
		return d.object(labelField, d.label)
	case fieldValue:
		d.points = d.points[:0]
		return d.point()
	case fieldValues:
		d.points = d.points[:0]
		return d.array(d.point)
	case fieldHistogram:
		return errHistogram
	}
	return d.lex.skip()
}

var errHistogram = fmt.Errorf("%w: a native histogram where a number was expected", errSyntax)

func (d *decoder) label(f field) error {
	s, err := d.lex.str()
	if err == nil && f != fieldOther {
		d.labels[f] = d.names.get(s, f)
	}
	return err
}

// point reads [seconds, "value"]. Values are strings in the API because of NaN and the infinities.
func (d *decoder) point() error {
	if err := d.lex.expect('['); err != nil {
		return err
	}
	t, err := d.seconds()
	if err != nil {
		return err
	}
	if err := d.lex.expect(','); err != nil {
		return err
	}
	s, err := d.lex.str()
	if err != nil {
		return err
	}
	v, err := parseFloat(s)
	if err != nil {
		return err
	}
	d.points = append(d.points, point{t, v})
	return d.lex.expect(']')
}

func (d *decoder) seconds() (float64, error) {
	text, err := d.lex.literal()
	if err != nil {
		return 0, err
	}
	if len(d.time) > 0 && string(text) == string(d.time) {
		return d.timeV, nil
	}
	if len(text) == 0 || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return 0, fmt.Errorf("%w: timestamp %q", errSyntax, excerpt(string(text)))
	}
	t, err := parseFloat(text)
	if err != nil {
		return 0, err
	}
	d.time, d.timeV = append(d.time[:0], text...), t
	return t, nil
}
