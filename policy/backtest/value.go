package backtest

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Value is one reading. In JSON it is a number, null where nothing was read, or "idle" where a latency is known to have had no
// request to measure.
type Value float64

// idle marks an idle Value: no reading is negative.
const idle Value = -1

// Missing is the Value where nothing was read.
func Missing() Value { return Value(math.NaN()) }

// ValueOf is the Value of a reading.
func ValueOf(v float64, isIdle bool) Value {
	switch {
	case isIdle:
		return idle
	case !(v >= 0) || math.IsInf(v, 0):
		return Missing()
	}
	return Value(v)
}

// sample is the reading without its time.
func (v Value) sample() policy.Sample {
	switch {
	case v == idle:
		return policy.Sample{OK: true, Idle: true}
	case math.IsNaN(float64(v)):
		return policy.Sample{}
	}
	return policy.Sample{Value: float64(v), OK: true}
}

// MarshalJSON writes the reading.
func (v Value) MarshalJSON() ([]byte, error) {
	switch {
	case v == idle:
		return []byte(`"idle"`), nil
	case math.IsNaN(float64(v)):
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(v), 'g', -1, 64), nil
}

// UnmarshalJSON reads it.
func (v *Value) UnmarshalJSON(text []byte) error {
	text = bytes.TrimSpace(text)
	switch string(text) {
	case "null":
		*v = Missing()
		return nil
	case `"idle"`:
		*v = idle
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(f >= 0) || math.IsInf(f, 0) {
		return fmt.Errorf("%q is no reading: give a number from 0, null or \"idle\"", short(string(text)))
	}
	*v = Value(f)
	return nil
}

// short cuts a text that is too long to be shown whole.
func short(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
