package bed

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fault stands in for the API server, which it is given to call or not.
type Fault func(api http.Handler) http.Handler

// Answer answers with a Status in place of the API server: 403, 409, 422, 429, 500 or another code. With retryAfter above 0 it asks to
// be left alone for so long, in whole seconds.
func Answer(code int, reason metav1.StatusReason, retryAfter time.Duration) Fault {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, //nolint:gosec // an HTTP status
		Message: fmt.Sprintf("the gateway answers %d", code),
	}
	if retryAfter > 0 {
		status.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(retryAfter.Seconds())}
	}
	text, _ := json.Marshal(status) // it has no field that could fail
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if retryAfter > 0 {
				w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
			}
			w.WriteHeader(code)
			_, _ = w.Write(text)
		})
	}
}

// Late lets a request wait before it goes on as the other fault, or with nil to the API server.
func Late(delay time.Duration, then Fault) Fault {
	return func(api http.Handler) http.Handler {
		if then != nil {
			api = then(api)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(delay):
			}
			api.ServeHTTP(w, r)
		})
	}
}

// Refused breaks the connection in place of an answer: the API server never hears of the request.
func Refused(http.Handler) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// Lost has the API server carry the request out and breaks the connection in place of its answer.
func Lost(api http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		api.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
}

// Stalled passes on the headers of an answer, and then nothing for as long as the client waits. It is not for watches: those are held.
func Stalled(api http.Handler) http.Handler {
	return partly(api, func(w http.ResponseWriter, r *http.Request, _ []byte) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// Truncated passes on the headers and the first half of an answer, and breaks the connection. It is not for watches.
func Truncated(api http.Handler) http.Handler {
	return partly(api, func(w http.ResponseWriter, _ *http.Request, text []byte) { _, _ = w.Write(text[:len(text)/2]) })
}

// partly passes on the headers of an answer and what the function makes of its body, and breaks the connection.
func partly(api http.Handler, pass func(w http.ResponseWriter, r *http.Request, text []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding") // so that there is a half to be read
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
		w.WriteHeader(answer.Code)
		pass(w, r, answer.Body.Bytes())
		panic(http.ErrAbortHandler)
	})
}
