package main

import (
	"runtime/debug"
	"testing"
)

// TestCollectEarly: garbage is collected earlier than Go does by itself, unless the environment says how.
func TestCollectEarly(t *testing.T) {
	const other = 77
	before := debug.SetGCPercent(other)
	defer debug.SetGCPercent(before)
	for _, tt := range []struct {
		gogc, limit string
		want        int
	}{{"", "", gcPercent}, {"150", "", other}, {"", "200MiB", other}} {
		t.Setenv("GOGC", tt.gogc)
		t.Setenv("GOMEMLIMIT", tt.limit)
		collectEarly()
		if got := debug.SetGCPercent(other); got != tt.want {
			t.Errorf("GOGC=%s GOMEMLIMIT=%s: %d, want %d", tt.gogc, tt.limit, got, tt.want)
		}
	}
}
