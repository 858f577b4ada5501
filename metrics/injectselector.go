package metrics

import (
	"regexp"
	"strings"
)

// selector copies a selector's braces and adds the matcher at the end. Within them it knows only what every server
// reads alike, items of the form label op "value" or "metric" with commas in between: some servers also know `or`, of
// which each side would have to be bound.
func (in *injector) selector() error {
	start := in.tokens[in.i]
	in.copy()
	label, comma := "namespace", true // comma: an item may begin here
	for in.i < len(in.tokens) {
		t := in.tokens[in.i]
		switch {
		case t.kind == tokenSpace:
			in.copy()
		case t.text == "}":
			if !comma {
				in.out.WriteString(",")
			}
			in.selectors++
			in.out.WriteString(in.matcher(label))
			in.copy()
			return nil
		case t.text == "," && !comma:
			in.copy()
			comma = true
		case comma && (t.kind == tokenWord || t.kind == tokenString):
			exported, err := in.item(t)
			if err != nil {
				return err
			}
			if exported {
				label = "exported_namespace"
			}
			comma = false
		default:
			return in.errorf(t, "%q within the braces of a selector; want LABEL=\"VALUE\" (or !=, =~, !~) and commas", t.text)
		}
	}
	return in.errorf(start, "%q is never closed", "{")
}

var matchOperators = map[string]bool{"=": true, "!=": true, "=~": true, "!~": true}

// item copies one matcher, or a quoted metric, and reports whether it is about exported_namespace.
func (in *injector) item(name token) (exported bool, err error) {
	operator := in.peek(1)
	if !matchOperators[operator.text] {
		if name.kind == tokenString {
			return false, in.copyString("")
		}
		return false, in.errorf(operator, "%q behind the label %q; want one of = != =~ !~", operator.text, name.text)
	}
	if value := in.peek(2); value.kind != tokenString && value.kind != tokenVariable {
		return false, in.errorf(value, "%q as the value of label %q; values are quoted", value.text, name.text)
	}
	for in.last != operator.text {
		in.copy()
	}
	for in.tokens[in.i].kind == tokenSpace {
		in.copy()
	}
	return strings.Trim(name.text, "\"'`") == "exported_namespace", in.copyString(operator.text)
}

// copyString copies a string or a variable with our names filled in. operator is the one in front of it.
func (in *injector) copyString(operator string) error {
	t := in.tokens[in.i]
	in.i++
	in.last, in.operand = t.text, true
	fill := func(name string) string {
		if operator == "=~" || operator == "!~" {
			return regexp.QuoteMeta(in.variables[name])
		}
		return in.variables[name]
	}
	if t.kind == tokenVariable {
		if _, known := in.variables[t.text]; !known {
			return in.errorf(t, "variable %q is unknown; $namespace and $deployment are", t.text)
		}
		in.out.WriteString(quote(fill(t.text)))
		return nil
	}
	text, err := in.fillString(t, fill)
	in.out.WriteString(text)
	return err
}

var variable = regexp.MustCompile(`\$[A-Za-z0-9_]+`)

// fillString replaces our variables within a string. Any other dollar is the string's own: the end of a regular
// expression, or a group of label_replace.
func (in *injector) fillString(t token, fill func(string) string) (string, error) {
	var bad error
	text := variable.ReplaceAllStringFunc(t.text, func(name string) string {
		if _, known := in.variables[name]; !known {
			return name
		}
		value := fill(name)
		if t.text[0] == '`' {
			if strings.ContainsAny(value, "`\r") {
				bad = in.errorf(t, "the name %q cannot stand between backquotes", value)
			}
			return value
		}
		quoted := quote(value)
		return strings.ReplaceAll(quoted[1:len(quoted)-1], `'`, `\x27`)
	})
	return text, bad
}

func (in *injector) matcher(label string) string { return label + "=" + quote(in.namespace) }
