package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// sample is what the decoder hands out, kept for comparison. NaN is kept as text, so that it equals itself.
type sample struct {
	Labels labelSet
	T      float64
	V      string
}

func text(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func collect(d *decoder, r io.Reader, want string) ([]sample, reply, error) {
	var got []sample
	rep, err := d.decode(r, want, func(labels *labelSet, t, v float64) {
		got = append(got, sample{*labels, t, text(v)})
	})
	return got, rep, err
}

// oracle reads the same with encoding/json.
type oracleReply struct {
	Status   string
	Warnings []string
	Data     struct {
		ResultType string
		Result     []struct {
			Metric map[string]string
			Value  *[2]any
			Values [][2]any
		}
	}
}

func oracle(raw []byte) ([]sample, error) {
	var rep oracleReply
	if err := json.Unmarshal(raw, &rep); err != nil {
		return nil, err
	}
	var want []sample
	for _, series := range rep.Data.Result {
		var labels labelSet
		for name, value := range series.Metric {
			if f := labelField([]byte(name)); f != fieldOther {
				labels[f] = value
			}
		}
		points := series.Values
		if series.Value != nil {
			points = [][2]any{*series.Value}
		}
		for _, p := range points {
			v, err := strconv.ParseFloat(p[1].(string), 64)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return nil, err
			}
			want = append(want, sample{labels, p[0].(float64), text(v)})
		}
	}
	return want, nil
}

// TestDecodeAgreesWithEncodingJSON compares the decoder with encoding/json over random valid replies, read in chunks
// of one byte, of halves and whole.
func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	d := newDecoder()
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		matrix := seed%3 == 0
		kind := map[bool]string{true: "matrix", false: "vector"}[matrix]
		raw := replyOf(rng, matrix)
		want, err := oracle(raw)
		if err != nil {
			t.Fatalf("seed %d: the generator wrote no JSON: %v\n%s", seed, err, raw)
		}
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(raw), "bytes": iotest.OneByteReader(bytes.NewReader(raw)),
			"halves": iotest.HalfReader(bytes.NewReader(raw)), "eof": iotest.DataErrReader(bytes.NewReader(raw)),
		} {
			got, rep, err := collect(d, r, kind)
			if err != nil {
				t.Fatalf("seed %d, %s: %v\n%s", seed, name, err, raw)
			}
			if rep.status != "success" || rep.resultType != kind || len(rep.warnings) != 0 {
				t.Fatalf("seed %d, %s: reply %+v", seed, name, rep)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %s:\n got %v\nwant %v\n%s", seed, name, got, want, raw)
			}
		}
	}
}

func TestDecodeTruncated(t *testing.T) {
	raw := []byte(vectorReply(3))
	d := newDecoder()
	for n := range raw {
		if _, _, err := collect(d, bytes.NewReader(raw[:n]), "vector"); err == nil {
			t.Fatalf("the first %d of %d bytes were taken for a whole reply", n, len(raw))
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	const head = `{"status":"success","data":{"resultType":"vector","result":[`
	tests := map[string]string{
		"scalar":             `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`,
		"string":             `{"status":"success","data":{"resultType":"string","result":[1,"2"]}}`,
		"matrix":             `{"status":"success","data":{"resultType":"matrix","result":[]}}`,
		"array":              `[]`,
		"empty":              ``,
		"null":               `null`,
		"trailing":           vectorReply(1) + "x",
		"two replies":        vectorReply(1) + vectorReply(1),
		"histogram":          head + `{"metric":{},"histogram":[1,{"count":"1"}]}]}}`,
		"value is a number":  head + `{"metric":{},"value":[1,2]}]}}`,
		"value is a word":    head + `{"metric":{},"value":[1,"up"]}]}}`,
		"value is empty":     head + `{"metric":{},"value":[1,""]}]}}`,
		"time is text":       head + `{"metric":{},"value":["1","2"]}]}}`,
		"time is a word":     head + `{"metric":{},"value":[nan,"2"]}]}}`,
		"three elements":     head + `{"metric":{},"value":[1,"2",3]}]}}`,
		"label is a number":  head + `{"metric":{"pod":1},"value":[1,"2"]}]}}`,
		"two results":        `{"data":{"result":[{"value":[1,"2"]}],"result":[]}}`,
		"two data":           `{"data":{"resultType":"vector","result":[]},"data":{}}`,
		"comma":              `{"status":"success",}`,
		"no comma":           `{"status":"success" "data":{}}`,
		"bad literal":        `{"x":tru}`,
		"bad escape":         `{"x":"\q"}`,
		"bad unicode escape": `{"x":"\u12g4"}`,
		"deep":               `{"x":` + strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2) + `}`,
		"long string":        `{"status":"` + strings.Repeat("a", 2*maxToken) + `"}`,
		"long escapes":       `{"status":"` + strings.Repeat(`\u0061`, 2*maxToken) + `"}`,
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			got, _, err := collect(newDecoder(), strings.NewReader(raw), "vector")
			if err == nil {
				t.Fatalf("accepted, with samples %v", got)
			}
			if !errors.Is(err, errSyntax) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v is of neither kind", err)
			}
		})
	}
}

func TestDecodeWarnings(t *testing.T) {
	raw := `{"status":"success","data":{"resultType":"vector","result":[]},` +
		`"warnings":["PromQL info: metric might not be a counter","no store for \"eu\""],"infos":["x"]}`
	_, rep, err := collect(newDecoder(), strings.NewReader(raw), "vector")
	if err != nil || !reflect.DeepEqual(rep.warnings, []string{`no store for "eu"`}) {
		t.Errorf("warnings %q, error %v", rep.warnings, err)
	}
}

func TestShortDecimalIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fast := 0
	for range 200000 {
		s := strconv.FormatFloat(rng.Float64()*math.Pow10(rng.IntN(12)), 'f', rng.IntN(8), 64)
		got, ok := shortDecimal([]byte(s))
		if !ok {
			continue
		}
		fast++
		if want, _ := strconv.ParseFloat(s, 64); got != want {
			t.Fatalf("%s: %v, want %v", s, got, want)
		}
	}
	if fast < 50000 {
		t.Errorf("only %d numbers took the fast way", fast)
	}
}

// vectorReply is a reply as Prometheus writes it for the default installation of DCGM's exporter.
func vectorReply(series int) string {
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"resultType":"vector","result":[`)
	for i := range series {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":{"UUID":"GPU-%08x-4ab1-9a8f-31d2-6b2f7c1e0a55","exported_namespace":"team-%d",`+
			`"exported_pod":"llama-3-8b-%d-5d8f9c7b6d-%05d","gpu":"0","pod":"nvidia-dcgm-exporter-%05x",`+
			`"source":"DCGM_FI_DEV_GPU_UTIL"},"value":[1767225600.123,"%d"]}`, i, i/1000, i/10, i, i/8, i%101)
	}
	b.WriteString(`]}}`)
	return b.String()
}

func BenchmarkDecodeVector(b *testing.B) {
	const series = 10000
	raw := []byte(vectorReply(series))
	d := newDecoder()
	n := 0
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(bytes.NewReader(raw), "vector", func(*labelSet, float64, float64) { n++ }); err != nil {
			b.Fatal(err)
		}
		d.names.end()
	}
	if n == 0 {
		b.Fatal("no series")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/series")
}

// BenchmarkGather100000 is what one tick of the largest size costs this package: decoding, resolving and combining.
func BenchmarkGather100000(b *testing.B) {
	const series = 100000
	raw := []byte(vectorReply(series))
	spec := signalTable[0]
	d := newDecoder()
	g := newGatherer(spec)
	b.ReportAllocs()
	for b.Loop() {
		g.again(spec)
		if _, err := d.decode(bytes.NewReader(raw), "vector", g.add); err != nil {
			b.Fatal(err)
		}
		d.names.end()
		if result := merged([]*gatherer{g}); result.Samples.Len() != series {
			b.Fatalf("%d samples", result.Samples.Len())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/series")
}
