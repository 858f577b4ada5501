package simulate

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var missing = math.Inf(-1) // stands for no reading in the tables

// take returns the first n readings of a series.
func take(t testing.TB, text string, n int) []float64 {
	t.Helper()
	s, err := ParseSeries(text)
	if err != nil {
		t.Fatalf("ParseSeries(%q): %v", text, err)
	}
	c, values := s.cursor(), make([]float64, n)
	for i := range values {
		v, ok := c.next()
		if !ok {
			v = missing
		}
		values[i] = v
	}
	return values
}

func TestSeries(t *testing.T) {
	for _, c := range []struct {
		text string
		want []float64
	}{
		{"5", []float64{5, 5, 5}},
		{"5x3", []float64{5, 5, 5, 5, 5}},
		{"1+2x3", []float64{1, 3, 5, 7, 7, 7}},
		{"9-3x2 4", []float64{9, 6, 3, 4, 4}},
		{"-1-1x1 -4", []float64{-1, -2, -4}},
		{"+5+1x1", []float64{5, 6, 6}},
		{"5x0 6", []float64{5, 6, 6}},
		{"0x2 5x1", []float64{0, 0, 0, 5, 5, 5}},
		{"1 _ 3", []float64{1, missing, 3, 3}},
		{"1 _x2 3", []float64{1, missing, missing, 3}},
		{"1 _x0 3", []float64{1, 3, 3}},
		{"1 _", []float64{1, missing, missing}},
		{"1 stale 2", []float64{1, missing, 2}},
		{"stalex1 2", []float64{missing, missing, 2}},
		{"1e3+1e-1x1 2E+2", []float64{1000, 1000.1, 200}},
		{".5 1. 0.25", []float64{.5, 1, .25}},
		{"  1\t2\n3 ", []float64{1, 2, 3}},
		{"Inf 1", []float64{math.Inf(1), 1}},
		{"1x1000000000000", []float64{1, 1, 1}},
	} {
		got := take(t, c.text, len(c.want))
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-12 {
				t.Errorf("%q: reading %d is %v, want %v of %v", c.text, i, got[i], c.want[i], c.want)
			}
		}
	}
	if got := take(t, "NaN 1", 2); !math.IsNaN(got[0]) || got[1] != 1 {
		t.Errorf("NaN 1: got %v", got)
	}
	// promtool adds the step up: ten times 0.1 is a little less than 1.
	if got := take(t, "0+0.1x10", 11); got[10] != 0.9999999999999999 {
		t.Errorf("0+0.1x10 ends in %v, want 0.9999999999999999", got[10])
	}
}

func TestSeriesRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "at least one value",
		"  ":                     "at least one value",
		"_x0":                    "no value",
		"1+2":                    `item 1, "1+2", is not allowed`,
		"5 1+x3":                 `item 2, "1+x3", is not allowed`,
		"5x":                     `is repeated "" times`,
		"5x-1":                   `is repeated "-1" times`,
		"5x1.5":                  `is repeated "1.5" times`,
		"0x1F":                   `is repeated "1F" times`,
		"5xx5":                   `is repeated "x5" times`,
		"abc":                    `item 1, "abc", is not allowed`,
		"1+2+3x4":                "is not allowed",
		"--1":                    "is not allowed",
		"1e":                     "is not allowed",
		"1e999":                  "is not allowed",
		"1,2":                    "is not allowed",
		"_+1x2":                  "is not allowed",
		"010":                    "octal number 8: write 10",
		"{{sum:1}}x2":            "is not allowed",
		"5m":                     "is not allowed",
		"5x99999999999999999999": "is repeated",
	} {
		_, err := ParseSeries(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSeries(%q): got %v, want an error with %q", text, err, want)
		}
	}
}

// expandable is the part of the notation that expand understands.
var expandable = regexp.MustCompile(`^(_|[-+]?[1-9][0-9]{0,2})(?:([-+][0-9]{1,3}))?(?:x([0-9]{1,2}))?$`)

// expand writes the readings out one by one; ok is false if the text is more than it understands.
func expand(text string) (values []float64, ok bool) {
	for field := range strings.FieldsSeq(text) {
		m := expandable.FindStringSubmatch(field)
		if m == nil || m[2] != "" && (m[3] == "" || m[1] == "_") || len(m[2]) > 2 && m[2][1] == '0' {
			return nil, false
		}
		n, _ := strconv.Atoi(m[3])
		if m[1] == "_" {
			if m[3] == "" {
				n = 1
			}
			values = append(values, slices.Repeat([]float64{missing}, n)...)
			continue
		}
		first, _ := strconv.Atoi(m[1])
		step, _ := strconv.Atoi(m[2])
		for i := range n + 1 {
			values = append(values, float64(first+i*step))
		}
	}
	return values, len(values) > 0
}

func FuzzSeries(f *testing.F) {
	for _, seed := range []string{
		"1+2x3", "5x3 _x2 7-1x4", "_", "0x40 5x20", "NaN Inf -Inf stale", "1e3+1e-3x5", "1x1000000000", "1 x3", "+1+1x1", "_x0 1", "010", "{{}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSeries(text)
		want, known := expand(text)
		if err != nil {
			if known {
				t.Fatalf("ParseSeries(%q): %v", text, err)
			}
			return
		}
		c := s.cursor()
		for i := range 200 {
			v, ok := c.next()
			if !known {
				continue
			}
			expected := want[min(i, len(want)-1)]
			if ok != (expected != missing) || ok && v != expected {
				t.Fatalf("%q: reading %d is %v, %t, want %v", text, i, v, ok, expected)
			}
		}
	})
}
