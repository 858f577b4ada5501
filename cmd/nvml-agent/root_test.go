package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args     string
		code     int
		out, err string // parts of what is printed
	}{
		{"--help", 0, "Example:\n  nvml-agent --listen :9401", ""},
		{"nvml --help", 0, "Example:\n  nvml-agent nvml\n", ""},
		{"version --help", 0, "Example:\n  nvml-agent version\n", ""},
		{"version", 0, "nvml-agent dev\n", ""},
		{"nmvl", 2, "", `unknown command "nmvl"`},
		{"version please", 2, "", `takes no arguments: got ["please"]`},
		{"--listn :1", 2, "", "unknown flag: --listn"},
		{"--logging-format xml", 2, "", `"xml" for "--logging-format" flag: allowed are text, json`},
		{"-v 11", 2, "", "allowed are whole numbers from 0 to 10"},
		{"nvml -o yaml", 2, "", "allowed are table, json"},
		{"--listen nowhere:port", 1, "", "serving at --listen nowhere:port"},
		{"nvml --nvml-library /nowhere.so", 1, "", "error: "},
	} {
		var out, errOut bytes.Buffer
		code := execute(strings.Fields(c.args), &out, &errOut)
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.err) {
			t.Errorf("nvml-agent %s: code %d, want %d\n%s--- stderr\n%s", c.args, code, c.code, &out, &errOut)
		}
		if c.code == 0 && errOut.Len() > 0 || c.code != 0 && out.Len() > 0 {
			t.Errorf("nvml-agent %s prints to the wrong place:\n%s--- stderr\n%s", c.args, &out, &errOut)
		}
	}
}
