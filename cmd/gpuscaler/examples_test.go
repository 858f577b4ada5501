package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// `gpuscaler check` finds nothing in the examples, no warnings either.
func TestCheckExamples(t *testing.T) {
	const examples = "../../deploy/examples"
	single, err := filepath.Glob(examples + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(examples + "/*/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := slices.Concat(single, folders)
	if len(files) < 6 {
		t.Fatalf("found %q, want six examples at least", files)
	}
	for _, file := range files {
		got := invoke(t, "", "check", file, "--queries", examples+"/scale-to-zero/queries.yaml")
		if got.code != exitOK || got.out != "" || !strings.Contains(got.err, "no problems in 1 annotated Deployment of 1 file") {
			t.Errorf("%s: %v", file, got)
		}
	}
}
