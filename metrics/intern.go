package metrics

// interner gives equal label values of successive replies one string. Servers list the series of a query in the same
// order every time, so that it needs no map: it walks along the values of the reply before. That makes a reply of
// 100,000 series cost next to no allocation and no hashing, and pods that are gone are forgotten with the next reply.
// When the order does change, strings are made anew once. It is not safe for concurrent use.
type interner struct {
	fields [labelFields]sequence
}

// sequence is the values of one label in the order of the series, runs of equal values counted once.
type sequence struct {
	before []string // of the previous reply
	now    []string // of this one, so far
	cursor int      // into before
	last   string
}

// internReach is how many values may have vanished in a row without losing the place.
const internReach = 16

// get returns the string that equals b, the value of label f of the next series.
func (in *interner) get(b []byte, f field) string {
	seq := &in.fields[f]
	if seq.last == string(b) {
		return seq.last
	}
	ahead := seq.before[seq.cursor:min(seq.cursor+internReach, len(seq.before))]
	for i, s := range ahead {
		if s == string(b) {
			seq.cursor += i + 1
			return seq.take(s)
		}
	}
	return seq.take(string(b))
}

func (seq *sequence) take(s string) string {
	seq.now = append(seq.now, s)
	seq.last = s
	return s
}

// end is called after each reply.
func (in *interner) end() {
	for f := range in.fields {
		seq := &in.fields[f]
		clear(seq.before[:cap(seq.before)]) // let the strings go that were not seen again
		seq.before, seq.now, seq.cursor = seq.now, seq.before[:0], 0
	}
}
