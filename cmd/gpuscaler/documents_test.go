package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are the pages of the repository, by their path from its root, which becomes the working directory.
func documents(t *testing.T) []string {
	t.Helper()
	t.Chdir("../..")
	pages := []string{"README.md", "SECURITY.md"}
	err := filepath.WalkDir("deploy", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(name) == ".md" {
			pages = append(pages, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// session is a block of a page in which a command and what it prints are shown.
var session = regexp.MustCompile("(?m)^```\n\\$ gpuscaler (.*)\n((?s:.*?))^```$")

// The pages show what the commands print: those that need no cluster are run, at the root of the repository.
func TestDocumentedCommands(t *testing.T) {
	ran := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		shown := session.ReplaceAllStringFunc(string(text), func(block string) string {
			line := session.FindStringSubmatch(block)[1]
			args, quiet := strings.CutSuffix(line, " 2>/dev/null")
			got := invoke(t, "", strings.Fields(args)...)
			ran++
			printed := got.out
			if !quiet {
				printed += got.err
			}
			return "```\n$ gpuscaler " + line + "\n" + printed + "```"
		})
		switch {
		case shown == string(text):
		case *update:
			if err := os.WriteFile(page, []byte(shown), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s does not show what its commands print; it would be\n%s", page, shown)
		}
	}
	if ran == 0 {
		t.Error("no page shows any command")
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Links within the repository lead somewhere, to headings too.
func TestDocumentedLinks(t *testing.T) {
	followed := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
			} else if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s: %s has no such heading", page, m[1])
			}
			followed++
		}
	}
	if followed < 50 {
		t.Errorf("found %d links, and there are more", followed)
	}
}

// anchors are the names of a page's headings, as GitHub makes them.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		slug := noSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return all
}
