package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"
	"unicode/utf8"
)

// FuzzReply: whatever status, headers and body come back, for an instant query or a range, it is read or refused with one of the kinds of
// errors and in a short line. Only a reply of status 200 and application/json without warnings is ever read, and what it says are numbers.
func FuzzReply(f *testing.F) {
	const plain, unpacked = "application/json", ""
	f.Add(200, plain, unpacked, []byte(vectorReply(2)), false)
	f.Add(200, plain, unpacked, []byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a","namespace":"n"},"values":[[1,"2"],[2,"NaN"]]}]}}`), true)
	f.Add(200, plain, "gzip", packed(vectorReply(1)), false)
	f.Add(200, plain, "gzip", []byte("no gzip"), false)
	f.Add(200, "text/html; charset=utf-8", unpacked, []byte("<html>sign in</html>"), false)
	f.Add(200, plain, unpacked, []byte(`{"status":"success","warnings":["store is down"],"data":{"resultType":"vector","result":[]}}`), false)
	f.Add(400, plain, unpacked, []byte(`{"status":"error","errorType":"bad_data","error":"1:1: parse error\u001b[31m"}`), false)
	f.Add(400, plain, unpacked, []byte(`{"status":"error","errorType":"bad_data","error":"\u009b31m and \u202e and \u00a0"}`), false)
	f.Add(422, plain, unpacked, []byte(`{"status":"error","errorType":"execution","error":"too many samples"}`), true)
	f.Add(503, plain, unpacked, []byte(`{"status":"error","errorType":"timeout","error":"query timed out"}`), false)
	f.Add(503, "text/plain", "br", []byte("\x00\xff"), false)
	f.Add(302, plain, unpacked, []byte(nil), false)
	f.Add(200, plain, unpacked, []byte(`{"status":"error","errorType":"internal","error":"x"}`), true)
	f.Fuzz(func(t *testing.T, status int, contentType, encoding string, raw []byte, matrix bool) {
		c, err := newClient(ClientOptions{URL: "http://prometheus", MaxBytes: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		status = min(max(status, 200), 599)
		question, read := question{want: map[bool]string{true: "matrix", false: "vector"}[matrix]}, 0
		question.emit = func(*labelSet, float64, float64) { read++ }
		err = c.read(context.Background(), &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "Content-Encoding": {encoding}, "Location": {string(raw)}},
			Body: io.NopCloser(bytes.NewReader(raw)), Request: &http.Request{URL: c.base},
		}, question)
		if err == nil {
			if status != http.StatusOK {
				t.Fatalf("status %d was read", status)
			}
			return
		}
		checkRefusal(t, err, status)
	})
}

// checkRefusal looks at the error of a reply.
func checkRefusal(t *testing.T, err error, status int) {
	t.Helper()
	known := false
	for _, kind := range []error{ErrUnreachable, ErrUnavailable, ErrUnauthorized, ErrRefused, ErrMalformed, ErrPartial} {
		known = known || errors.Is(err, kind)
	}
	text := err.Error()
	switch {
	case !known:
		t.Fatalf("the error %q is of no kind", text)
	case len(text) > 1000 || !utf8.ValidString(text):
		t.Fatalf("an error of %d bytes: %q", len(text), text)
	case status == http.StatusUnauthorized && !errors.Is(err, ErrUnauthorized):
		t.Fatalf("status %d: %q", status, text)
	}
	for _, r := range text {
		if !strconv.IsPrint(r) {
			t.Fatalf("the error %s has what cannot be printed", strconv.Quote(text))
		}
	}
}

// packed is a text as gzip.
func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}
