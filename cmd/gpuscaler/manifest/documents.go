package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one YAML or JSON document.
type document struct {
	node *yaml.Node
	// offset is added to the lines of its nodes.
	offset int
}

// syntaxError is a place where a document cannot be read.
type syntaxError struct {
	line    int
	message string
}

// documents reads a stream of documents. One that cannot be read does not hide the others.
func documents(text []byte) ([]document, []syntaxError) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if looksLikeJSON(text) {
		// A flow mapping of YAML begins with a brace as well, so that what is no JSON may still be YAML.
		found, jsonError := jsonDocuments(text)
		if jsonError == nil {
			return found, nil
		}
		if found, err := yamlDocuments(text); err == nil {
			return found, nil
		}
		return found, []syntaxError{*jsonError}
	}
	if found, err := yamlDocuments(text); err == nil {
		return found, nil
	}
	return separately(text)
}

// looksLikeJSON is how kubectl tells JSON from YAML.
func looksLikeJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// yamlDocuments reads a whole stream.
func yamlDocuments(text []byte) ([]document, error) {
	var found []document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		found = append(found, document{node: &node})
	}
}

// separately reads the documents of a stream one by one, after the whole could not be read. A line that begins with ---
// separates documents, whatever surrounds it.
func separately(text []byte) ([]document, []syntaxError) {
	var found []document
	var problems []syntaxError
	for _, part := range split(text) {
		docs, err := yamlDocuments(part.text)
		for i := range docs {
			docs[i].offset = part.offset
		}
		found = append(found, docs...)
		if err != nil && !onlyDirectives(part.text) {
			problems = append(problems, yamlError(err, part))
		}
	}
	return found, problems
}

// part is a piece of a stream and the number of lines before it.
type part struct {
	text   []byte
	offset int
}

// split cuts a stream at its separators.
func split(text []byte) []part {
	var parts []part
	start, first, line := 0, 0, 0
	for at := 0; at < len(text); line++ {
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if at > start && isSeparator(text[at:end]) {
			parts = append(parts, part{text[start:at], first})
			start, first = at, line
		}
		at = end
	}
	return append(parts, part{text[start:], first})
}

// isSeparator reports whether a line separates documents.
func isSeparator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// onlyDirectives reports whether a part holds no more than %YAML and comments: by itself that is no document.
func onlyDirectives(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '%' && line[0] != '#' {
			return false
		}
	}
	return true
}

// lineInError finds the line in what package yaml says.
var lineInError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

// yamlError takes an error of package yaml apart.
func yamlError(err error, p part) syntaxError {
	first, _, _ := strings.Cut(err.Error(), "\n")
	found := lineInError.FindStringSubmatch(first)
	line, convErr := strconv.Atoi(found[1])
	if convErr != nil {
		line = 1
	}
	return syntaxError{line: p.offset + min(line, bytes.Count(p.text, []byte("\n"))+1), message: found[2]}
}
