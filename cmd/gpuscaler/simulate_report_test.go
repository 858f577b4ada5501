package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A report is written beside what is printed, the same each time, and whether or not the expectations hold.
func TestSimulateReport(t *testing.T) {
	folder := t.TempDir()
	page, picture := filepath.Join(folder, "report.html"), filepath.Join(folder, "chart.png")
	text := "# What this shows\n# in two lines.\n" + annotated + "events: [{at: 15s, replicas: 5}]\nexpect: {max-scale-ups: 0}\n"
	plain := simulated(t, text, tableOutput, "-")
	got := simulated(t, text, tableOutput, "-", "--html", page, "--png", picture)
	if got.code != exitError || got.out != plain.out || got.err != "wrote "+page+"\nwrote "+picture+"\n"+plain.err {
		t.Errorf("got %v, without a report %v", got, plain)
	}
	read := func(path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	written := read(page)
	for _, want := range []string{
		"<h1>Simulation of a scenario</h1>", "<p>What this shows in two lines.</p>", "2026-01-01 00:00:00 to 2026-01-01 00:00:30 UTC",
		"<dt>Changes</dt><dd>2 up, 0 down</dd>", "Event: a person sets replicas to 5", "<td>1 → 3</td>", "running-requests is 30 for a target of 10",
		"target 10", "events: [{at: 15s, replicas: 5}]",
	} {
		if !bytes.Contains(written, []byte(want)) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if decoded, err := png.Decode(bytes.NewReader(read(picture))); err != nil || decoded.Bounds().Dx() < 1000 {
		t.Errorf("the picture: %v", err)
	}
	drawn := read(picture)
	simulated(t, text, jsonOutput, "-", "--html", page, "--png", picture)
	if !bytes.Equal(read(page), written) || !bytes.Equal(read(picture), drawn) {
		t.Error("a second run writes something else")
	}
}

// On standard output the report is alone.
func TestSimulateReportToStdout(t *testing.T) {
	got := simulated(t, annotated, tableOutput, "-", "--html", "-")
	if got.code != exitOK || got.err != "" || !strings.HasPrefix(got.out, "<!DOCTYPE html>") || !strings.HasSuffix(got.out, "</html>\n") {
		t.Errorf("exit code %d, stderr %q, stdout %.80q", got.code, got.err, got.out)
	}
}

// Each golden scenario can be told as a report.
func TestScenarioReports(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarios, "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("scenarios %v, error %v", files, err)
	}
	for _, path := range files {
		got := simulated(t, "", tableOutput, path, "--html", "-")
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if got.code != exitOK || !strings.Contains(got.out, "<h1>Simulation of "+name+"</h1>") || len(got.out) > 1<<20 {
			t.Errorf("%s: exit code %d, %d bytes: %s", path, got.code, len(got.out), got.err)
		}
	}
}

// A report that cannot be written is refused before anything is simulated.
func TestSimulateReportRefuses(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--html", folder + "/no/report.html"}, exitError, "error: --html " + folder + "/no/report.html: there is no folder " + folder + "/no: create it first\n"},
		{[]string{"--png", folder}, exitError, "error: --png " + folder + ": that is a folder: give the name of a file in it\n"},
		{[]string{"--png", "-"}, exitUsage, "--png -: a picture is not printed: give the name of a file"},
		{[]string{"--html", "x", "--png", "x"}, exitUsage, "--html and --png are both x: give two files"},
		{[]string{"--html", "x.png"}, exitUsage, "--html x.png: it is no picture: give a name that ends in .html, or use --png"},
		{[]string{"--png", "x.html"}, exitUsage, "--png x.html: it is a picture: give a name that ends in .png, or use --html"},
	} {
		got := simulated(t, annotated, tableOutput, append([]string{"-"}, c.args...)...)
		if got.code != c.code || got.out != "" || !strings.Contains(got.err, c.want) {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q, want %d and %q", c.args, got.code, got.out, got.err, c.code, c.want)
		}
	}
}
