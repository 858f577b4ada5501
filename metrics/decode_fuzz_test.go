package metrics

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzDecodeVector: any bytes, in any pieces, give the same samples or the same refusal, and those of encoding/json
// where it reads the reply at all: of an instant query, a vector, or of a range, a matrix. A decoder that has read something else before
// reads the same.
func FuzzDecodeVector(f *testing.F) {
	for _, seed := range []string{
		vectorReply(2), `{"status":"error","errorType":"timeout","error":"x"}`, `{"data":{"result":[{"value":[1,"NaN"]}]}}`,
		`{"warnings":["x"],"data":null}`, `{"a":"😀\ud800x"}`, "\x00", `{"data":{"result":[{"metric":{"pod":"a\\u0062"},"values":[[1,"2"],[2,"3"]]}]}}`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(strings.Replace(seed, `"vector"`, `"matrix"`, 1)), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, matrix bool) {
		d, want := newDecoder(), map[bool]string{true: "matrix", false: "vector"}[matrix]
		got, rep, err := collect(d, bytes.NewReader(raw), want)
		again, _, errAgain := collect(d, iotest.OneByteReader(bytes.NewReader(raw)), want)
		if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(got, again) {
			t.Fatalf("in one piece: %v, %v; byte by byte: %v, %v", got, err, again, errAgain)
		}
		if err == nil && rep.resultType != "" && rep.resultType != want {
			t.Fatalf("a %s was read for a %s", rep.resultType, want)
		}
		if err != nil || !json.Valid(raw) || !plainJSON(raw) {
			return
		}
		expected, err := oracle(raw)
		if err != nil || bytes.Contains(raw, []byte(`"values"`)) && bytes.Contains(raw, []byte(`"value"`)) { // of both the last counts
			return
		}
		if len(expected)+len(got) > 0 && !reflect.DeepEqual(got, expected) {
			t.Fatalf("got %v, encoding/json reads %v (status %q)", got, expected, rep.status)
		}
	})
}

// plainJSON leaves out what encoding/json reads differently on purpose: names of any case, bytes that are no UTF-8,
// and members that appear twice.
func plainJSON(raw []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var names []map[string]bool
	var isName []bool
	for {
		token, err := dec.Token()
		if err != nil {
			return err == io.EOF
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				names, isName = append(names, map[string]bool{}), append(isName, true)
			case '[':
				names, isName = append(names, nil), append(isName, false)
			default:
				names, isName = names[:len(names)-1], isName[:len(isName)-1]
				flip(names, isName)
			}
			continue
		case string:
			if n := len(names) - 1; n >= 0 && names[n] != nil && isName[n] {
				name := strings.ToLower(token)
				if names[n][name] || strings.ContainsRune(name, '\ufffd') || name != token {
					return false
				}
				names[n][name], isName[n] = true, false
				continue
			}
			if strings.ContainsRune(token, '\ufffd') {
				return false
			}
		}
		flip(names, isName)
	}
}

func flip(names []map[string]bool, isName []bool) {
	if n := len(names) - 1; n >= 0 && names[n] != nil {
		isName[n] = true
	}
}
