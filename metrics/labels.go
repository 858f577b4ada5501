package metrics

import (
	"fmt"
	"unicode/utf8"
)

// label is one label of a series.
type label struct{ name, value string }

// parseLabels reads the labels of a series: what stands after its name. It is called when a series is seen for the first time
// only.
func parseLabels(text string) ([]label, error) {
	bad := func() ([]label, error) { return nil, fmt.Errorf("%w: labels %q", errText, excerpt(text)) }
	var labels []label
	rest := skipBlank(text)
	if rest == "" {
		return nil, nil
	}
	rest = skipBlank(rest[1:])
	for rest != "}" {
		name, after, ok := labelName(rest)
		if !ok {
			return bad()
		}
		value, after, ok := unquote(skipBlank(after))
		if !ok || has(labels, name) {
			return bad()
		}
		labels = append(labels, label{name, value})
		switch rest = skipBlank(after); {
		case rest == "":
			return bad()
		case rest[0] == ',':
			rest = skipBlank(rest[1:])
		case rest != "}":
			return bad()
		}
	}
	return labels, nil
}

func skipBlank(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}

// labelName reads a name, which may stand in quotes, and the equals sign.
func labelName(s string) (name, rest string, ok bool) {
	if s != "" && s[0] == '"' {
		name, rest, ok = unquote(s)
	} else {
		n := metricName([]byte(s))
		name, rest, ok = s[:n], s[n:], n > 0
	}
	rest = skipBlank(rest)
	if !ok || rest == "" || rest[0] != '=' {
		return "", "", false
	}
	return name, rest[1:], true
}

// unquote reads a string in quotes. Three escapes exist; a backslash before anything else stands for itself, as in Prometheus.
func unquote(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	var out []byte
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return string(out), s[i+1:], utf8.Valid(out)
		case c == '\\' && i+1 < len(s):
			i++
			if c = s[i]; c == 'n' {
				c = '\n'
			} else if c != '"' && c != '\\' {
				out = append(out, '\\')
			}
		}
		out = append(out, c)
	}
	return "", "", false
}

func has(labels []label, name string) bool {
	for _, l := range labels {
		if l.name == name {
			return true
		}
	}
	return false
}

// labelValue is the value of a label; an absent label is empty, as in PromQL.
func labelValue(labels []label, name string) string {
	for _, l := range labels {
		if l.name == name {
			return l.value
		}
	}
	return ""
}
