package serving

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTrace(t *testing.T) {
	text := "\ufeffTIMESTAMP,ContextTokens,GeneratedTokens\r\n" +
		"2023-11-16 18:17:04.0319600,3180,8\r\n" +
		"\r\n" +
		"2023-11-16 18:17:03.9799600,4808,10\r\n" +
		"2023-11-16 18:17:04.979960+00:00,110,27\r\n" +
		"2023-11-16T19:17:05+01:00,1,1"
	got, err := ParseTrace(strings.NewReader(text))
	want := []Request{
		{0, 4808, 10},
		{52 * time.Millisecond, 3180, 8},
		{time.Second, 110, 27},
		{1020*time.Millisecond + 40*time.Microsecond, 1, 1},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
}

func TestParseTraceErrors(t *testing.T) {
	const head = traceHeader + "\n"
	const row = "2023-11-16 18:17:03,1,1\n"
	tests := map[string]struct{ text, want string }{
		"nothing":       {"", "reading trace: no requests in 0 lines"},
		"header only":   {head, "reading trace: no requests in 1 lines"},
		"no header":     {row, `line 1: "2023-11-16 18:17:03,1,1" is not allowed: want the names TIMESTAMP,ContextTokens,GeneratedTokens`},
		"other file":    {strings.Repeat("{", 5000), "line 1: \"" + strings.Repeat("{", 80) + "…\""},
		"too few":       {head + row + "2023-11-16 18:17:03,1\n", `line 3: 2 fields in "2023-11-16 18:17:03,1": want 3`},
		"no time":       {head + "yesterday,1,1\n", `line 2: TIMESTAMP "yesterday" is not allowed: want a time like 2023-11-16 18:17:03.9799600`},
		"no tokens":     {head + "2023-11-16 18:17:03,0,1\n", `ContextTokens "0" is not allowed: want a whole number from 1 to 10000000`},
		"negative":      {head + "2023-11-16 18:17:03,1,-1\n", `GeneratedTokens "-1" is not allowed`},
		"fraction":      {head + "2023-11-16 18:17:03,1.5,1\n", `ContextTokens "1.5" is not allowed`},
		"NaN":           {head + "2023-11-16 18:17:03,1,NaN\n", `GeneratedTokens "NaN" is not allowed`},
		"overflow":      {head + "2023-11-16 18:17:03,99999999999999999999,1\n", `ContextTokens "99999999999999999999" is not allowed`},
		"two at a time": {head + "2023-11-16 18:17:03,x,y\n", `GeneratedTokens "y" is not allowed`},
		"endless line":  {head + row + strings.Repeat("1", 1<<17), "line 3: bufio.Scanner: token too long"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseTrace(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
	}
}

// FuzzParseTrace: whatever is read, it fails, or gives requests that New accepts for a server large enough.
func FuzzParseTrace(f *testing.F) {
	f.Add([]byte(traceHeader + "\n2023-11-16 18:17:03.9799600,4808,10\n"))
	f.Add([]byte(traceHeader + "\r\n0000-01-01 00:00:00,1,1\r\n9999-12-31 23:59:59.999999999,10000000,1\r\n"))
	f.Add([]byte(traceHeader + "\n,,\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		requests, err := ParseTrace(bytes.NewReader(text))
		if err != nil {
			if requests != nil || !strings.HasPrefix(err.Error(), "reading trace: ") {
				t.Fatalf("%d requests with error %q", len(requests), err)
			}
			return
		}
		server := exampleServer
		server.KVTokens = maxKVTokens
		if err := (Config{Server: server, Trace: requests}).Validate(); err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(requests, func(a, b Request) int { return int(a.At - b.At) }) || requests[0].At != 0 {
			t.Fatalf("not in order from 0s: %v", requests)
		}
	})
}

// publishedTraces is where a checkout of the Azure LLM inference traces may lie, beside the repository. They are not
// part of it.
const publishedTraces = "../../../shared/traces"

// TestPublishedTraces replays an hour of each published trace and wants every request served.
func TestPublishedTraces(t *testing.T) {
	tests := map[string]struct{ requests, replicas int }{
		"AzureLLMInferenceTrace_code.csv": {8819, 4},
		"AzureLLMInferenceTrace_conv.csv": {19366, 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open(filepath.Join(publishedTraces, name))
			if err != nil {
				t.Skipf("the published traces are not beside this repository: %v", err)
			}
			defer file.Close()
			trace, err := ParseTrace(file)
			if err != nil {
				t.Fatal(err)
			}
			if last := trace[len(trace)-1].At; len(trace) != tt.requests || last < 57*time.Minute || last > time.Hour {
				t.Errorf("%d requests, the last at %v", len(trace), last)
			}
			m := newModel(t, Config{Server: exampleServer, Trace: trace, Speed: 2}, 0, tt.replicas)
			m.Advance(30 * time.Minute)
			if got := m.Totals().Arrived; got != tt.requests {
				t.Errorf("%d arrived within half an hour at speed 2", got)
			}
			m.Advance(24 * time.Hour)
			if totals := m.Totals(); totals.Completed != tt.requests {
				t.Errorf("in the end %+v", totals)
			}
		})
	}
}
