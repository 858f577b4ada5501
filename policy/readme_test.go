package policy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the annotation table in the README")

const (
	readme     = "../README.md"
	tableBegin = "<!-- annotations: made from policy/keys.go by `go test ./policy -update` -->\n"
	tableEnd   = "<!-- end of annotations -->\n"
)

// The table in the README is the one that the parser reads.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), tableBegin)
	table, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatal("the README has no markers around its annotation table")
	}
	want := readmeTable()
	switch {
	case table == want:
	case *update:
		if err := os.WriteFile(readme, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the annotation table of the README is not that of the code: run go test ./policy -update\n%s", want)
	}
}

func readmeTable() string {
	var b strings.Builder
	b.WriteString("| key | value | default | meaning |\n|---|---|---|---|\n")
	for _, k := range Keys() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, code(k.Form), code(k.Default), k.Meaning)
	}
	return b.String()
}

// code marks what is written literally.
func code(text string) string {
	if strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) && strings.Count(text, `"`) == 2 {
		return "`" + strings.Trim(text, `"`) + "`"
	}
	return text
}
