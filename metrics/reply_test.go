package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// replyOf writes a reply from random numbers: any order of members, any white space, escapes, unknown members.
func replyOf(rng *rand.Rand, matrix bool) []byte {
	var b bytes.Buffer
	w := &writer{b: &b, rng: rng}
	kind := "vector"
	if matrix {
		kind = "matrix"
	}
	w.object(
		func() { w.str("status"); w.colon(); w.str("success") },
		func() { w.str("infos"); w.colon(); b.WriteString(`["PromQL info: a \"b\"", null, {"c":[1,{}]}]`) },
		func() {
			w.str("data")
			w.colon()
			w.object(
				func() { w.str("resultType"); w.colon(); w.str(kind) },
				func() { w.str("stats"); w.colon(); b.WriteString(`{"x":[[],[[]],1e5,true,null]}`) },
				func() { w.str("result"); w.colon(); w.array(rng.IntN(5), func() { w.series(matrix) }) },
			)
		},
	)
	return b.Bytes()
}

type writer struct {
	b   *bytes.Buffer
	rng *rand.Rand
}

func (w *writer) space() { w.b.WriteString([]string{"", "", "", " ", "\n\t ", "\r"}[w.rng.IntN(6)]) }
func (w *writer) colon() { w.space(); w.b.WriteByte(':'); w.space() }

func (w *writer) object(members ...func()) {
	w.rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	i := 0
	w.list('{', '}', len(members), func() { members[i](); i++ })
}

func (w *writer) array(n int, element func()) { w.list('[', ']', n, element) }

func (w *writer) list(open, end byte, n int, element func()) {
	w.space()
	w.b.WriteByte(open)
	for i := range n {
		if i > 0 {
			w.b.WriteByte(',')
		}
		w.space()
		element()
		w.space()
	}
	w.b.WriteByte(end)
	w.space()
}

// str writes a string, now and then with each character escaped.
func (w *writer) str(s string) {
	if w.rng.IntN(4) > 0 {
		raw, _ := json.Marshal(s)
		w.b.Write(raw)
		return
	}
	w.b.WriteByte('"')
	for _, r := range s {
		if r > 0xffff || w.rng.IntN(3) == 0 && r >= ' ' && r != '"' && r != '\\' {
			w.b.WriteRune(r)
			continue
		}
		fmt.Fprintf(w.b, `\u%04x`, r)
	}
	w.b.WriteByte('"')
}

func (w *writer) series(matrix bool) {
	values := []string{"0", "1", "-0", "75", "0.1", "33.333", "1e+06", "NaN", "+Inf", "-Inf", "4294967295", "9223372036854775794", "1e400", "12345678.90123456789"}
	point := func() {
		i := 0
		w.array(2, func() {
			if i++; i == 1 {
				w.b.WriteString([]string{"1767225600", "1767225600.123", "1.5e9", "0"}[w.rng.IntN(4)])
				return
			}
			w.str(values[w.rng.IntN(len(values))])
		})
	}
	labels := func() {
		var members []func()
		for _, name := range []string{"namespace", "pod", "exported_pod", "exported_namespace", sourceLabel, idleLabel, "UUID", "é😀"} {
			if w.rng.IntN(2) == 0 {
				value := []string{"", "ml", "llama-5d8f", `a"b\c`, "😀", "tab\t", "a b"}[w.rng.IntN(7)]
				members = append(members, func() { w.str(name); w.colon(); w.str(value) })
			}
		}
		w.object(members...)
	}
	w.object(
		func() { w.str("metric"); w.colon(); labels() },
		func() {
			if matrix {
				w.str("values")
				w.colon()
				w.array(w.rng.IntN(4), point)
				return
			}
			w.str("value")
			w.colon()
			point()
		},
	)
}
