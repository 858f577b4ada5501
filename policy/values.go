package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxParts bounds the lists in a value: more is not a policy but an attack or a mistake.
const maxParts = 32

// whole reads a whole number written in plain digits.
func whole(to *int, value string, least int) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil || int(n) < least || strconv.FormatUint(n, 10) != value {
		return fmt.Errorf("is not allowed: give a whole number from %d to %d", least, math.MaxInt32)
	}
	*to = int(n)
	return nil
}

// decimal reads a plain decimal number: no exponent, no NaN, no infinity, no hexadecimal.
func decimal(value string) (float64, error) {
	if value == "" || strings.Trim(value, "0123456789.") != "" {
		return 0, errors.New("not a decimal number")
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return 0, fmt.Errorf("reading a number: %w", err)
	}
	return v, nil
}

// duration reads a duration as Go writes it.
func duration(to *time.Duration, value string, least, most time.Duration) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > most {
		return fmt.Errorf("is not allowed: give a duration from %s to %s, such as 90s, 5m or 1h30m", plain(least), plain(most))
	}
	*to = d
	return nil
}

// plain prints a duration without empty units: 1h instead of 1h0m0s.
func plain(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// tolerance reads a fraction, or a percentage with its sign.
func tolerance(to *float64, value string) error {
	digits, percent := strings.CutSuffix(value, "%")
	v, err := decimal(strings.TrimSpace(digits))
	if percent {
		v /= 100
	}
	if err != nil || v > maxTolerance {
		return errors.New(`is not allowed: give a fraction such as "0.1" or a percentage such as "10%", not negative`)
	}
	// The HPA reckons with thousandths: the same digits divided can be another float, and then its ends differ.
	if m := math.Round(v * 1000); math.Abs(m/1000-v) < 1e-9 {
		v = m * 0.001
	}
	*to = v
	return nil
}

// policies reads scaling policies: "4 pods/15s, 100%/15s".
func policies(to *[]ScalingPolicy, value string) error {
	parts := strings.Split(value, ",")
	if len(parts) > maxParts {
		return fmt.Errorf("has %d policies: at most %d are allowed", len(parts), maxParts)
	}
	list := make([]ScalingPolicy, 0, len(parts))
	for _, part := range parts {
		p, err := scalingPolicy(part)
		if err != nil {
			return err
		}
		list = append(list, p)
	}
	*to = list
	return nil
}

// scalingPolicy reads "4 pods/15s" or "100%/15s".
func scalingPolicy(text string) (ScalingPolicy, error) {
	amount, period, found := strings.Cut(text, "/")
	if !found {
		return ScalingPolicy{}, fmt.Errorf(`has the policy %q: give an amount and a period, as in "4 pods/15s" or "100%%/15s"`, short(strings.TrimSpace(text)))
	}
	amount, period = strings.TrimSpace(amount), strings.TrimSpace(period)
	p := ScalingPolicy{Type: Pods}
	digits, ok := strings.CutSuffix(amount, "%")
	if ok {
		p.Type = Percent
	} else if digits, ok = strings.CutSuffix(amount, "pods"); !ok {
		digits, ok = strings.CutSuffix(amount, "pod")
	}
	if !ok || whole(&p.Value, strings.TrimSpace(digits), 1) != nil {
		return p, fmt.Errorf(`has the amount %q: give a whole number of at least 1 with "pods" or "%%"`, short(amount))
	}
	if err := duration(&p.Period, period, minPeriod, maxPeriod); err != nil {
		return p, fmt.Errorf("has the period %q, which %w", short(period), err)
	}
	return p, nil
}

// isName reports whether the text can name a query.
func isName(text string) bool {
	return text != "" && len(text) <= 63 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && text == strings.Trim(text, "-")
}

// isPath reports whether the text can be the path of a URL and nothing else: no query, no fragment, no dots that climb.
func isPath(text string) bool {
	for _, part := range strings.Split(text, "/") {
		if part == ".." || part == "." {
			return false
		}
	}
	for _, c := range []byte(text) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/-_.~", c) >= 0) {
			return false
		}
	}
	return len(text) <= 256
}
