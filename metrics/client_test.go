package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// serve starts a server that answers with handler, and a reader of it.
func serve(t *testing.T, opts Options, handler http.HandlerFunc) *Prometheus {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	opts.URL = server.URL + opts.URL
	opts.Transport = &http.Transport{DisableKeepAlives: true}
	p, err := NewPrometheus(opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// hang blocks until the client has gone. The server notices that only once it has read the request's body.
func hang(r *http.Request) {
	_ = r.ParseForm()
	<-r.Context().Done()
}

func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// vectorOf is a reply with one series for pod a of namespace ml.
func vectorOf(value string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"namespace":"ml","pod":"a",` +
		`"source":"DCGM_FI_DEV_GPU_UTIL"},"value":[1767225600.5,"` + value + `"]}]}}`
}

func readUtilization(p *Prometheus) (Result, error) {
	return p.Read(context.Background(), policy.GPUUtilization, []string{"ml"})
}

// TestBadReplies: whatever comes back, it is refused with the right kind, in one short line, and no value is made of
// it.
func TestBadReplies(t *testing.T) {
	const json = "application/json"
	good := vectorOf("50")
	tests := []struct {
		name    string
		status  int
		typ     string
		body    string
		kind    error
		message string
	}{
		{"login page", 200, "text/html; charset=utf-8", "<html>please log in</html>", ErrMalformed, "text/html"},
		{"no content type", 200, "", good, ErrMalformed, "Content-Type"},
		{"text", 200, "text/plain", good, ErrMalformed, "text/plain"},
		{"scalar", 200, json, `{"status":"success","data":{"resultType":"scalar","result":[1,"5"]}}`, ErrMalformed, "scalar"},
		{"matrix", 200, json, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, ErrMalformed, "matrix"},
		{"truncated", 200, json, good[:len(good)-9], ErrMalformed, "ends in the middle"},
		{"empty", 200, json, "", ErrMalformed, "ends in the middle"},
		{"empty object", 200, json, "{}", ErrMalformed, "success"},
		{"no data", 200, json, `{"status":"success"}`, ErrMalformed, "no result"},
		{"error with 200", 200, json, `{"status":"error","errorType":"execution","error":"too many samples"}`, ErrRefused, "too many samples"},
		{"timeout with 200", 200, json, `{"status":"error","errorType":"timeout","error":"slow"}`, ErrUnavailable, "slow"},
		{"warnings", 200, json, strings.TrimSuffix(good, "}") + `,"warnings":["store eu unreachable"]}`, ErrPartial, "store eu"},
		{"histogram", 200, json, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"histogram":[1,{}]}]}}`, ErrMalformed, "native histogram"},
		{"bad request", 400, json, `{"status":"error","errorType":"bad_data","error":"parse error"}`, ErrRefused, "parse error"},
		{"unauthorized", 401, "text/html", "<html>", ErrUnauthorized, "--prometheus-http-config"},
		{"forbidden", 403, json, `{"kind":"Status"}`, ErrUnauthorized, "services/proxy"},
		{"not found", 404, "text/plain", "404 page not found", ErrRefused, "--prometheus-url"},
		{"not processable", 422, json, `{"status":"error","errorType":"execution","error":"x"}`, ErrRefused, "execution: x"},
		{"too many", 429, json, `{`, ErrUnavailable, "--interval"},
		{"URL too long", 414, "text/html", "<html>", ErrRefused, "fewer namespaces"},
		{"server error", 500, "text/plain", "panic: secret", ErrUnavailable, "Internal Server Error"},
		{"unavailable", 503, json, `{"status":"error","errorType":"timeout","error":"query timed out"}`, ErrUnavailable, "query timed out"},
		{"redirect", 302, "text/html", "", ErrMalformed, "redirected"},
		{"created", 201, json, good, ErrRefused, "Created"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				answer(w, tt.status, tt.typ, tt.body)
			})
			result, err := readUtilization(p)
			if !errors.Is(err, tt.kind) || !errors.Is(kindOf(err), tt.kind) {
				t.Fatalf("error %v is not of kind %q", err, tt.kind)
			}
			if !strings.Contains(err.Error(), tt.message) || strings.ContainsAny(err.Error(), "\n<") || len(err.Error()) > 600 {
				t.Errorf("message %q; want one short line with %q", err, tt.message)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("message %q repeats the body", err)
			}
			if result.Samples.Len() != 0 {
				t.Errorf("samples from a bad reply: %v", result)
			}
		})
	}
}

// TestEndlessReplies: bodies without end are cut, whatever they are made of, and compression is no way round.
func TestEndlessReplies(t *testing.T) {
	const limit = 1 << 20
	series := vectorReply(100)
	head, rest, _ := strings.Cut(series, `[{"metric"`)
	rest = `{"metric"` + strings.TrimSuffix(rest, "]}}") + ","
	tests := map[string]func(w io.Writer) error{
		"series": func(w io.Writer) error { _, err := io.WriteString(w, rest); return err },
		"spaces": func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat(" ", 4096)); return err },
		"one string": func(w io.Writer) error {
			_, err := io.WriteString(w, `{"metric":{"pod":"`+strings.Repeat("a", 1<<21))
			return err
		},
	}
	for name, more := range tests {
		for _, zipped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gzip %v", name, zipped), func(t *testing.T) {
				p := serve(t, Options{ClientOptions: ClientOptions{MaxBytes: limit}}, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					var out io.Writer = w
					if zipped {
						w.Header().Set("Content-Encoding", "gzip")
						zip := gzip.NewWriter(w)
						defer func() { _ = zip.Close() }()
						out = zip
					}
					_, _ = io.WriteString(out, head+"[")
					for range 1 << 14 {
						if more(out) != nil {
							return
						}
					}
				})
				if _, err := readUtilization(p); !errors.Is(err, ErrMalformed) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// TestSizeLimitIsExact: a reply of exactly the limit passes, one byte more does not, zipped or not.
func TestSizeLimitIsExact(t *testing.T) {
	raw := vectorReply(200)
	for _, zipped := range []bool{false, true} {
		for _, extra := range []int{0, 1} {
			limit := int64(len(raw) - extra)
			p := serve(t, Options{ClientOptions: ClientOptions{MaxBytes: limit, Gzip: zipped}}, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Header.Get("Accept-Encoding") == "gzip", zipped; got != want {
					t.Errorf("asked for gzip: %v", got)
				}
				if !zipped {
					answer(w, 200, "application/json", raw)
					return
				}
				var b bytes.Buffer
				zip := gzip.NewWriter(&b)
				_, _ = io.WriteString(zip, raw)
				_ = zip.Close()
				w.Header().Set("Content-Encoding", "gzip")
				answer(w, 200, "application/json", b.String())
			})
			_, err := p.Read(context.Background(), policy.GPUUtilization, []string{"team-0"})
			if extra == 0 && err != nil {
				t.Errorf("gzip %v: a reply of exactly the limit: %v", zipped, err)
			}
			if extra == 1 && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "more than")) {
				t.Errorf("gzip %v: a reply of one byte more: %v", zipped, err)
			}
		}
	}
}

// TestManySeries: small series take more memory than their text, so that their number has a limit too.
func TestManySeries(t *testing.T) {
	for _, n := range []int{maxSeries, maxSeries + 1} {
		p := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			series := strings.Repeat(`{"metric":{"namespace":"a","pod":"b"},"value":[1,"5"]},`, n)
			answer(w, 200, "application/json", `{"status":"success","data":{"resultType":"vector","result":[`+strings.TrimSuffix(series, ",")+`]}}`)
		})
		_, err := readUtilization(p)
		if n == maxSeries && err != nil {
			t.Errorf("%d series: %v", n, err)
		}
		if n > maxSeries && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "more than 300000 series; find what exposes so many")) {
			t.Errorf("%d series: %v", n, err)
		}
	}
}

func TestUnknownEncoding(t *testing.T) {
	p := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		answer(w, 200, "application/json", "x")
	})
	if _, err := readUtilization(p); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "br") {
		t.Errorf("error %v", err)
	}
}

// TestHanging: the deadline covers the whole body, whenever the server stops.
func TestHanging(t *testing.T) {
	for name, start := range map[string]string{
		"before the headers": "", "after the headers": " ", "in the middle": vectorReply(3)[:200],
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{ClientOptions: ClientOptions{Timeout: 100 * time.Millisecond}}
			p := serve(t, opts, func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				if start != "" {
					answer(w, 200, "application/json", start)
					w.(http.Flusher).Flush()
				}
				hang(r)
			})
			began := time.Now()
			_, err := readUtilization(p)
			if !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestCancelled: the caller's own deadline is obeyed, and told from the server's fault by errors.Is.
func TestCancelled(t *testing.T) {
	p := serve(t, Options{}, func(_ http.ResponseWriter, r *http.Request) { hang(r) })
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := p.Read(ctx, policy.QueueDepth, []string{"ml"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestConnectionRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	p, err := NewPrometheus(Options{ClientOptions: ClientOptions{URL: "http://user:hunter2@" + address + "/?token=hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = readUtilization(p)
	if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(err.Error(), address) {
		t.Errorf("error %v does not name %s", err, address)
	}
}

// TestBrokenConnection: a reply cut by the network is the network's fault, not the server's.
func TestBrokenConnection(t *testing.T) {
	p := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		answer(w, 200, "application/json", vectorReply(3)[:300])
		panic(http.ErrAbortHandler)
	})
	if _, err := readUtilization(p); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// TestRedirectKeepsCredentials: nothing is ever sent to where a redirect points.
func TestRedirectKeepsCredentials(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, status)
		})
		if _, err := readUtilization(p); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%d: error %v", status, err)
		}
	}
	if reached {
		t.Error("a redirect was followed")
	}
}

// TestRequest: what goes over the wire, as POST and as GET.
func TestRequest(t *testing.T) {
	for method, get := range map[string]bool{http.MethodPost: false, http.MethodGet: true} {
		t.Run(method, func(t *testing.T) {
			opts := Options{ClientOptions: ClientOptions{URL: "/prefix/?partial_response=false", GET: get}}
			p := serve(t, opts, func(w http.ResponseWriter, r *http.Request) {
				checkRequest(t, r, method)
				answer(w, 200, "application/json; charset=utf-8", vectorOf("50"))
			})
			result, err := readUtilization(p)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := result.Samples.Get("ml", "a"); got.Value != 50 || got.Source != "DCGM_FI_DEV_GPU_UTIL" {
				t.Errorf("reading %+v", got)
			}
			if want := time.UnixMilli(1767225600500); !result.ServerTime.Equal(want) {
				t.Errorf("server time %v, want %v", result.ServerTime, want)
			}
		})
	}
}

func checkRequest(t *testing.T, r *http.Request, method string) {
	t.Helper()
	if r.Method != method || r.URL.Path != "/prefix/api/v1/query" {
		t.Errorf("%s %s", r.Method, r.URL.Path)
	}
	if method == http.MethodPost && r.URL.RawQuery != "partial_response=false" {
		t.Errorf("query string %q of a POST", r.URL.RawQuery)
	}
	if r.FormValue("partial_response") != "false" || !strings.Contains(r.FormValue("query"), "DCGM_FI_DEV_GPU_UTIL") {
		t.Errorf("parameters %v", r.Form)
	}
	if r.Form.Has("time") || r.Header.Get("Idempotency-Key") != "" {
		t.Errorf("our own clock or an empty header was sent: %v, %v", r.Form, r.Header)
	}
	timeout, err := time.ParseDuration(r.FormValue("timeout"))
	if err != nil || timeout <= 0 || timeout > DefaultTimeout {
		t.Errorf("timeout %q", r.FormValue("timeout"))
	}
}

// kindOf returns the first of the kinds that an error is, nil if it is none: an error is of one kind only.
func kindOf(err error) error {
	for _, kind := range []error{
		ErrUnreachable, ErrUnauthorized, ErrUnavailable, ErrRefused, ErrMalformed, ErrPartial, ErrNoSource,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}
