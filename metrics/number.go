package metrics

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"
)

// parseFloat reads a number as Prometheus prints it. A number too large for a float64 is read as an infinity, which
// the range check then drops.
func parseFloat(b []byte) (float64, error) {
	if v, ok := shortDecimal(b); ok {
		return v, nil
	}
	// ParseFloat keeps no reference to its argument other than in the error, which is not kept either.
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%w: number %q", errSyntax, excerpt(string(b)))
	}
	return v, nil
}

// shortDecimal reads digits with at most one dot, exactly: up to 15 digits are an integer below 2^53 and the
// divisor is an exact power of ten, so that one rounding remains, the one of the division.
func shortDecimal(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var n uint64
	digits, scale := 0, -1
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			n = n*10 + uint64(c-'0')
			digits++
			if scale >= 0 {
				scale++
			}
		case c == '.' && scale < 0 && digits > 0:
			scale = 0
		default:
			return 0, false
		}
	}
	switch {
	case digits == 0 || digits > 15 || scale == 0:
		return 0, false
	case scale < 0:
		return float64(n), true
	}
	return float64(n) / powersOfTen[scale], true
}

var powersOfTen = [16]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
