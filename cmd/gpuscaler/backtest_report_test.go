package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBacktestReport writes the report of several policies: figures side by side, what the data cannot tell, and each change.
func TestBacktestReport(t *testing.T) {
	file, dir := samples(t), t.TempDir()
	page, picture := filepath.Join(dir, "llm.html"), filepath.Join(dir, "llm.png")
	got := invoke(t, "", "backtest", "--from", file, "--against", "current,hpa", "--html", page, "--png", picture)
	if keep := os.Getenv("KEEP_REPORT"); keep != "" { // to look at it
		text, _ := os.ReadFile(page)
		_ = os.WriteFile(keep, text, 0o600)
	}
	if got.code != exitOK || !strings.Contains(got.out, "POLICY") || !strings.Contains(got.err, "wrote "+page) {
		t.Fatalf("%s", got)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Backtest of llm in prod", "as annotated", "hpa", "current", "Peak", "Not told by the data: 2.5 % of the time gpu-utilization", "<svg"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	drawn, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(bytes.NewReader(drawn)); err != nil {
		t.Error(err)
	}
	if got := invoke(t, "", "backtest", "--from", file, "--html", "-"); got.code != exitOK || !strings.HasPrefix(got.out, "<!DOCTYPE html>") {
		t.Errorf("%.300s", got)
	}
	if got := invoke(t, "", "backtest", "--from", file, "--html", "-", "--export", "-"); got.code != exitUsage || !strings.Contains(got.err, "exclude each other") {
		t.Errorf("%.300s", got)
	}
}
