package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

const goodPage = "tgi_queue_size 3\n"

// endless writes a text until nobody listens any more.
func endless(encoding, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", textType)
		var out io.Writer = w
		if encoding == "gzip" {
			w.Header().Set("Content-Encoding", encoding)
			out = gzip.NewWriter(w)
		}
		chunk := bytes.Repeat([]byte(text), 1+(32<<10)/len(text))
		for {
			if _, err := out.Write(chunk); err != nil {
				return
			}
		}
	}
}

// answering writes one reply.
func answering(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		_, _ = io.WriteString(w, text)
	}
}

// speaking writes raw bytes instead of HTTP's.
func speaking(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}

// drip writes a byte now and then.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", textType)
	for {
		_, _ = io.WriteString(w, "#")
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func manySeries(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", textType)
	for i := range 1_000_000 {
		if _, err := fmt.Fprintf(w, "tgi_queue_size{i=\"%d\"} 1\n", i); err != nil {
			return
		}
	}
}

func gzipped(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", textType)
	w.Header().Set("Content-Encoding", "gzip")
	zip := gzip.NewWriter(w)
	_, _ = io.WriteString(zip, text)
	_ = zip.Close()
}

// hostile are pods that do what they should not, and what is said about it.
var hostile = map[string]struct {
	handler http.HandlerFunc
	want    string
}{
	"an endless body":         {endless("", "other_metric 1\n"), "more than 262144 lines"},
	"endless blank lines":     {endless("gzip", "\n"), "more than 262144 lines"},
	"an endless line":         {endless("", "x"), "a line longer than 32768 bytes"},
	"an endless comment":      {endless("", "# HELP "+strings.Repeat("x", 500)+"\n"), "more than 16 MiB"},
	"a gzip bomb":             {endless("gzip", "x"+strings.Repeat("x", 500)+"\n"), "more than 16 MiB"},
	"a million series":        {manySeries, "more than 4000 series"},
	"long series":             {endless("", "tgi_queue_size{a=\""+strings.Repeat("x", 30000)+"\"} 1\n"), "more than 262144 bytes of names and labels"},
	"one byte at a time":      {drip, "no complete reply within 300ms"},
	"no reply":                {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no complete reply within 300ms"},
	"no type":                 {answering("", goodPage), "no Content-Type; check the port and path"},
	"JSON":                    {answering("application/json", "{}"), "trtllm-serve has its metrics at /prometheus/metrics"},
	"HTML":                    {answering("text/html", "<html>"), `Content-Type "text/html"`},
	"protobuf":                {answering("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily", ""), "Content-Type"},
	"a type that is a secret": {answering("x/Bearer abcdef0123456789abcdef0123456789abcdef", ""), "[redacted]"},
	"an encoding of its own": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		answering(textType, goodPage)(w, nil)
	}, `Content-Encoding "br"`},
	"gzip that is none": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		answering(textType, goodPage)(w, nil)
	}, "gzip: invalid header"},
	"a redirect":              {http.RedirectHandler("http://169.254.169.254/latest?token=x", http.StatusFound).ServeHTTP, "HTTP 302, redirected to http://169.254.169.254/latest; redirects are not followed"},
	"not found":               {http.NotFound, "HTTP 404 Not Found; check the path in gpuscaler.io/scrape"},
	"unauthorized":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "HTTP 401 Unauthorized; pods are asked without credentials"},
	"an error":                {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "HTTP 503 Service Unavailable"},
	"no content":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "HTTP 204"},
	"no HTTP":                 {speaking("SSH-2.0-OpenSSH_9.2\r\n"), "malformed HTTP response"},
	"nothing":                 {speaking(""), "closed before the end"},
	"less than its length":    {speaking("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\n" + goodPage), "closed before the end"},
	"a chunk without end":     {speaking("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n" + goodPage), "closed before the end"},
	"half a line":             {answering(textType, "tgi_queue_size 3"), "ends in the middle"},
	"OpenMetrics without end": {answering(openMetricsType, goodPage), "ends in the middle"},
	"a header bomb": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 1<<20))
		answering(textType, goodPage)(w, nil)
	}, "server response headers exceeded"},
	"headers without end":        {func(w http.ResponseWriter, _ *http.Request) { bombHeaders(w) }, "server response headers exceeded"},
	"a sample without a value":   {answering(textType, "tgi_queue_size\n"), "value"},
	"a sample of the year 2100":  {answering(textType, "tgi_queue_size 1 4102444800000\n"), "ahead of this clock"},
	"a label set without an end": {answering(textType, "tgi_queue_size{a=\"b\n"), "labels without end"},
}

func bombHeaders(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	for i := 0; err == nil; i++ {
		_, err = fmt.Fprintf(conn, "X-%d: y\r\n", i)
	}
}

// TestHostilePods: each of them has no sample and is told of in one line; it takes neither time nor memory, and its neighbour is
// read as if it were not there.
func TestHostilePods(t *testing.T) {
	for name, tt := range hostile {
		t.Run(name, func(t *testing.T) {
			p := newPods(t, 2, func(i int) http.Handler {
				if i == 0 {
					return tt.handler
				}
				return newBook(goodPage)
			})
			d := NewDirect(DirectOptions{Timeout: 300 * time.Millisecond})
			if strings.Contains(tt.want, "MiB") || strings.Contains(tt.want, "lines") { // to be read to the bound, also on a busy machine
				d = NewDirect(DirectOptions{Timeout: 20 * time.Second})
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := d.Read(context.Background(), at(0), p.target(policy.QueueDepth))
			runtime.ReadMemStats(&after)
			wantTold(t, r.Results[0], map[string]string{"p1": "3 tgi_queue_size"})
			if r.Sampled != 2 || r.Failed != 1 || !strings.Contains(r.Problem, "1 of 2 pods could not be read: pod p0 ("+podIP(0).String()) {
				t.Errorf("%+v", r)
			}
			if !strings.Contains(r.Problem, tt.want) || strings.Contains(r.Problem, "\n") || len(r.Problem) > 500 {
				t.Errorf("problem %q, want %q", r.Problem, tt.want)
			}
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 24<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

// TestAbsurdValues: a page that can be read with values that cannot be. They are dropped and counted, and never a number.
func TestAbsurdValues(t *testing.T) {
	tests := map[string]struct {
		signal  policy.Signal
		page    string
		want    map[string]string
		dropped []Drop
	}{
		"NaN":                               {policy.QueueDepth, "tgi_queue_size NaN\n", nil, []Drop{{NotANumber, 1}}},
		"infinite":                          {policy.QueueDepth, "tgi_queue_size +Inf\n", nil, []Drop{{Infinite, 1}}},
		"too large":                         {policy.QueueDepth, "tgi_queue_size 9223372036854775794\n", nil, []Drop{{OutOfRange, 1}}},
		"negative":                          {policy.QueueDepth, "tgi_queue_size -1\n", nil, []Drop{{Negative, 1}}},
		"one of two":                        {policy.QueueDepth, "vllm:num_requests_waiting{engine=\"0\"} 9\nvllm:num_requests_waiting{engine=\"1\"} -9\n", nil, []Drop{{Negative, 1}}},
		"0/0":                               {policy.GPUMemory, "nv_gpu_memory_used_bytes 0\nnv_gpu_memory_total_bytes 0\n", nil, []Drop{{NotANumber, 1}}},
		"without total":                     {policy.GPUMemory, "nv_gpu_memory_used_bytes 5\n", nil, nil},
		"a little above":                    {policy.KVCache, "vllm:kv_cache_usage_perc 1.03\n", map[string]string{"p0": "100 vllm:kv_cache_usage_perc"}, nil},
		"a percentage where a ratio is due": {policy.KVCache, "vllm:kv_cache_usage_perc 42\n", nil, []Drop{{OutOfRange, 1}}},
		"old":                               {policy.QueueDepth, "tgi_queue_size 3 1767225500000\n", nil, nil}, // 100 s
		"an old one before another source":  {policy.QueueDepth, "vllm:num_requests_waiting 3 1767225500000\ntgi_queue_size 4\n", map[string]string{"p0": "4 tgi_queue_size"}, nil},
		"nothing of it":                     {policy.QueueDepth, "python_info 1\n", nil, nil},
		"an empty page":                     {policy.QueueDepth, "", nil, nil},
		"an unknown signal":                 {"my-queue", goodPage, nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPods(t, 1, func(int) http.Handler { return newBook(tt.page) })
			r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), p.target(tt.signal))
			if r.Problem != "" {
				t.Fatal(r.Problem)
			}
			wantTold(t, r.Results[0], tt.want)
			if fmt.Sprint(r.Results[0].Dropped) != fmt.Sprint(tt.dropped) {
				t.Errorf("dropped %v, want %v", r.Results[0].Dropped, tt.dropped)
			}
		})
	}
}

// TestSampleTimes: a sample with a time of its own is that old.
func TestSampleTimes(t *testing.T) {
	p := newPods(t, 1, func(int) http.Handler {
		return newBook("vllm:num_requests_waiting{engine=\"0\"} 3 1767225540000\nvllm:num_requests_waiting{engine=\"1\"} 4\n")
	})
	d := NewDirect(DirectOptions{})
	for second, want := range map[int]string{0: "7 vllm:num_requests_waiting", 40: "4 vllm:num_requests_waiting"} {
		r := d.Read(context.Background(), at(second), p.target(policy.QueueDepth))
		reading, _ := r.Results[0].Samples.Get("ml", "p0")
		wantTime := at(40)
		if second == 0 {
			wantTime = at(-60) // the oldest part's
		}
		if told(r.Results[0])["p0"] != want || !reading.Time.Equal(wantTime) {
			t.Errorf("at %d s %v of %v", second, told(r.Results[0]), reading.Time)
		}
	}
}

// TestGzipIsRead although it was not asked for.
func TestGzipIsRead(t *testing.T) {
	p := newPods(t, 1, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("Accept-Encoding %q", got)
			}
			if got := r.Header.Get("Accept"); !strings.HasPrefix(got, "text/plain") {
				t.Errorf("Accept %q", got)
			}
			if r.Method != http.MethodGet || r.URL.Path != "/metrics" || len(r.Cookies()) > 0 || r.Header.Get("Authorization") != "" {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			gzipped(w, goodPage)
		})
	})
	r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), p.target(policy.QueueDepth))
	wantTold(t, r.Results[0], map[string]string{"p0": "3 tgi_queue_size"})
}

// TestContentTypes that are pages of metrics.
func TestContentTypes(t *testing.T) {
	for _, kind := range []string{"text/plain", "text/plain; version=0.0.4", "Text/Plain;charset=utf-8", "text/plain; version=1.0.0; escaping=values"} {
		p := newPods(t, 1, func(int) http.Handler { return answering(kind, goodPage) })
		r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), p.target(policy.QueueDepth))
		if r.Failed > 0 {
			t.Errorf("%s: %s", kind, r.Problem)
		}
	}
}

// TestRefusedAddresses: nobody is contacted there.
func TestRefusedAddresses(t *testing.T) {
	tests := map[string]string{
		"0.0.0.0": "unspecified", "::": "unspecified", "224.0.0.1": "multicast", "ff02::1": "multicast", "255.255.255.255": "multicast",
		"169.254.169.254": "link-local", "::ffff:169.254.169.254": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local",
		"127.0.0.1": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
	}
	for address, want := range tests {
		for _, asAgent := range []bool{false, true} {
			target := DirectTarget{Namespace: "ml", Workload: "x", Port: 8000, Path: "/metrics", Signals: []policy.Signal{policy.GPUUtilization}}
			pod := DirectPod{Name: "a", IP: netip.MustParseAddr(address)}
			if asAgent {
				target.Port = 0
				pod.Agent = netip.AddrPortFrom(pod.IP, 9401)
			}
			target.Pods = []DirectPod{pod}
			d := NewDirect(DirectOptions{RefuseLoopback: true})
			d.scraper.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				t.Errorf("%s was dialled", address)
				return nil, io.EOF
			}
			r := d.Read(context.Background(), at(0), target)
			if text := r.Problem + r.AgentProblem; r.Failed+r.AgentsFailed != 1 || !strings.Contains(text, "is refused: it is") || !strings.Contains(text, want) {
				t.Errorf("%s: %q", address, text)
			}
		}
	}
}

// TestNoAddress: a pod whose address is not known yet is told of and not asked.
func TestNoAddress(t *testing.T) {
	p := newPods(t, 1, func(int) http.Handler { return newBook(goodPage) })
	p.list = append(p.list, DirectPod{Name: "new"})
	d := NewDirect(DirectOptions{})
	r := d.Read(context.Background(), at(0), p.target(policy.QueueDepth))
	if r.Failed != 1 || !strings.Contains(r.Problem, "pod new: it has no address yet") {
		t.Errorf("%+v", r)
	}
	p.list[1].IP = p.list[0].IP
	r = d.Read(context.Background(), at(1), p.target(policy.QueueDepth))
	if !maps.Equal(told(r.Results[0]), map[string]string{"p0": "3 tgi_queue_size", "new": "3 tgi_queue_size"}) || r.Failed != 0 {
		t.Errorf("once it has one: %+v", r)
	}
}

// TestIPv6 works.
func TestIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6:", err)
	}
	server := &http.Server{Handler: newBook(goodPage)}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	target := DirectTarget{
		Namespace: "ml", Workload: "x", Port: listener.Addr().(*net.TCPAddr).Port, Path: "metrics", Signals: []policy.Signal{policy.QueueDepth},
		Pods: []DirectPod{{Name: "a", IP: netip.MustParseAddr("::1")}},
	}
	r := NewDirect(DirectOptions{}).Read(context.Background(), at(0), target)
	wantTold(t, r.Results[0], map[string]string{"a": "3 tgi_queue_size"})
}
