package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// licence returns the text of a licence that this repository has.
func licence(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gpl is the end of every file under the GPL.
const gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as
published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.`

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string // of a module whose package is in the folder a/b
		ids   string
		texts int
		wrong string
	}{
		{name: "a licence and a notice", files: map[string]string{"LICENSE": licence(t), "NOTICE.txt": "by us"}, ids: "Apache-2.0", texts: 2},
		{
			name: "code taken over", files: map[string]string{"LICENSE": licence(t), "a/COPYING": string(fonts), "c/LICENSE": gpl},
			ids: "Apache-2.0 OFL-1.1", texts: 2,
		},
		{name: "none", files: map[string]string{"README": licence(t)}, wrong: "no licence in"},
		{name: "code of that name", files: map[string]string{"license.go": licence(t)}, wrong: "no licence in"},
		{name: "not allowed", files: map[string]string{"LICENSE.md": gpl}, wrong: "its licence is GPL-3.0"},
		{name: "unknown", files: map[string]string{"LICENSE": "You may look at it on Sundays."}, wrong: "only 0 % of it"},
		{name: "one of two not allowed", files: map[string]string{"LICENSE": licence(t) + "\n" + gpl}, wrong: "its licence is GPL-3.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				file := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m := module{name: "example.com/x v1.0.0", dir: dir}
			if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755); err != nil {
				t.Fatal(err)
			}
			m.add(filepath.Join(dir, "a", "b"))
			err := m.read()
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), m.name) {
					t.Errorf("got error %v, want one with %q and %q", err, c.wrong, m.name)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(m.ids, " "); got != c.ids || len(m.texts) != c.texts {
				t.Errorf("got %q and %d texts, want %q and %d", got, len(m.texts), c.ids, c.texts)
			}
		})
	}
}

// TestProgram reads the licences of the real program, so that a new dependency without one is noticed before a release.
func TestProgram(t *testing.T) {
	for _, platform := range []string{"linux/arm64", "windows/amd64"} {
		var out strings.Builder
		if err := run(t.Context(), []string{"-C", "../..", "-platform", platform, "./cmd/gpuscaler"}, &out); err != nil {
			t.Fatal(err)
		}
		list, texts, _ := strings.Cut(out.String(), "\n"+strings.Repeat("=", 80)+"\n")
		for _, want := range []string{
			"\nk8s.io/client-go v", "\nthe Go standard library go", "\ngithub.com/golang/freetype v0.0.0-20170609003504-e2365dfdc4a0: FTL\n",
		} {
			if !strings.Contains(list, want) {
				t.Errorf("%s: the list has no %q", platform, want)
			}
		}
		// Linked on Windows only: it tells whether the platform counts.
		if got := strings.Contains(list, "\ngithub.com/inconshreveable/mousetrap v"); got != (platform == "windows/amd64") {
			t.Errorf("%s: the list has mousetrap: %t", platform, got)
		}
		for line := range strings.Lines(strings.TrimPrefix(list, list[:strings.Index(list, "\n\n")+2])) {
			name, _, _ := strings.Cut(line, ": ")
			if !strings.Contains(texts, name+"\n") {
				t.Errorf("%s: no text of %s", platform, name)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-platform", "linux", "./cmd/gpuscaler"}, {"./cmd/a", "./cmd/b"}} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "usage: notices") {
			t.Errorf("%q: got error %v, want the usage", args, err)
		}
	}
}
