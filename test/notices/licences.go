package main

import (
	_ "embed" // for fonts.txt
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licences, by SPDX identifier, under which code may be in a program that is itself under the Apache License
// and shipped without the source of those parts.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "OFL-1.1"}

// covered is the part of a licence file, in percent, that has to be known text: the rest is names and years.
const covered = 75

// chosen are modules that leave the choice between licences, or keep the text elsewhere: the one that is taken, and its files.
var chosen = map[string]struct {
	id    string
	files []string
}{
	"github.com/golang/freetype": {"FTL", []string{"LICENSE", "licenses/ftl.txt"}}, // or the GPL
}

// fonts are in a module that does not tell their licence. Their files do.
//
//go:embed fonts.txt
var fonts []byte

// besides are texts for what modules contain of others without a licence file of its own.
var besides = map[string][]byte{"github.com/go-analyze/charts": fonts}

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|unlicense)([-._].*)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^(notices?|patents|authors)([-._].*)?$`)
	source      = regexp.MustCompile(`\.(go|s|c|h|ya?ml|json|tmpl)$`)
)

// read reads the licences and notices of a module. The error names all that may not be passed on.
func (m *module) read() error {
	path, _, _ := strings.Cut(m.name, " ")
	if c, ok := chosen[path]; ok {
		m.ids = []string{c.id}
		return m.take(c.files)
	}
	for _, folder := range m.folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, e := range entries {
			if e.IsDir() || source.MatchString(e.Name()) {
				continue
			}
			if err := m.readFile(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	if len(m.ids) == 0 {
		return fmt.Errorf("%s: no licence in %s", m.name, m.dir)
	}
	if text, ok := besides[path]; ok {
		if err := m.licence(text); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	slices.Sort(m.ids)
	return nil
}

// take reads files of a module, named from its folder, as they are.
func (m *module) take(files []string) error {
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(m.dir, name))
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		m.texts = append(m.texts, tidy(text))
	}
	return nil
}

// readFile reads a file if it is a licence or a notice, by its name.
func (m *module) readFile(path string) error {
	name := filepath.Base(path)
	isLicence := licenceFile.MatchString(name)
	if !isLicence && !noticeFile.MatchString(name) {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !isLicence {
		m.texts = append(m.texts, tidy(text))
		return nil
	}
	if err := m.licence(text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// licence adds a licence of the module's.
func (m *module) licence(text []byte) error {
	ids, err := identify(text)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.Contains(m.ids, id) {
			m.ids = append(m.ids, id)
		}
	}
	m.texts = append(m.texts, tidy(text))
	return nil
}

// identify returns the SPDX identifiers of the licences that a text consists of.
func identify(text []byte) ([]string, error) {
	scan := licensecheck.Scan(text)
	if scan.Percent < covered {
		return nil, fmt.Errorf("only %.0f %% of it is text of a known licence, want %d %%: %v", scan.Percent, covered, scan.Match)
	}
	var ids []string
	for _, match := range scan.Match {
		if match.IsURL {
			continue
		}
		if !slices.Contains(allowed, match.ID) {
			return nil, fmt.Errorf("its licence is %s, allowed are %s", match.ID, strings.Join(allowed, ", "))
		}
		if !slices.Contains(ids, match.ID) {
			ids = append(ids, match.ID)
		}
	}
	return ids, nil
}

// tidy makes texts alike that differ in white space at the ends of lines only.
func tidy(text []byte) string {
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}

// write prints the list of modules, and each text once, below the modules that it is of.
func write(to io.Writer, modules []module) {
	fmt.Fprint(to, "This program contains code of others, under these licences:\n\n")
	var texts []string
	owners := map[string][]string{}
	for _, m := range modules {
		fmt.Fprintf(to, "%s: %s\n", m.name, strings.Join(m.ids, ", "))
		for _, text := range m.texts {
			if owners[text] == nil {
				texts = append(texts, text)
			}
			owners[text] = append(owners[text], m.name)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(to, "\n%s\n%s\n\n%s", strings.Repeat("=", 80), strings.Join(slices.Compact(owners[text]), "\n"), text)
	}
}
