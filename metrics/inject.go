package metrics

import (
	"fmt"
	"slices"
	"strings"
)

// Words of PromQL, in lower case: its keywords are not case-sensitive. A word of none of these lists is a function if
// a parenthesis follows it, and a metric otherwise.
var (
	aggregations = words("sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio")
	labelLists   = words("by without on ignoring group_left group_right")
	operators    = words("and or unless atan2 offset")
	modifiers    = words("smoothed anchored") // of newer servers, behind a selector
	numbers      = words("inf nan")
	reserved     = words("bool start end") // behind a comparison, and behind @
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(list) {
		set[word] = true
	}
	return set
}

// Inject binds an expression to a namespace: every selector in it gets the matcher namespace="…", or
// exported_namespace="…" where it already says something about that label, as queries on exporters must. Matchers that
// are there stay, so that an expression can narrow what it sees and never widen it. $namespace and $deployment become
// quoted strings, within a string the escaped name, and within a regular expression one that matches just the name.
//
// It reads only as much of PromQL as this needs. What it does not understand it refuses: an expression that it accepts
// may still be wrong, which the server will say, but it never reads another namespace.
func Inject(expr, namespace, deployment string) (string, error) {
	tokens, err := tokenize(expr)
	if err != nil {
		return "", err
	}
	in := &injector{
		expr: expr, tokens: tokens, namespace: namespace,
		variables: map[string]string{"$namespace": namespace, "$deployment": deployment},
	}
	for in.i < len(in.tokens) {
		if err := in.step(); err != nil {
			return "", err
		}
	}
	if in.open > 0 {
		return "", fmt.Errorf("%d closing parentheses are missing at the end", in.open)
	}
	if in.selectors == 0 {
		return "", fmt.Errorf("it has no selector: nothing in it reads a metric")
	}
	return in.out.String(), nil
}

type injector struct {
	expr      string
	tokens    []token
	i         int
	namespace string
	variables map[string]string
	out       strings.Builder
	open      int    // parentheses
	last      string // the last token copied that is neither space nor a comment
	operand   bool   // it ends an operand: an operator may follow, but not a metric
	selectors int
}

func (in *injector) errorf(t token, format string, args ...any) error {
	return fmt.Errorf("%s: %s", position(in.expr, t.at), fmt.Sprintf(format, args...))
}

// step handles the token at i and what belongs to it.
func (in *injector) step() error {
	t := in.tokens[in.i]
	switch {
	case t.kind == tokenWord:
		return in.word(t)
	case t.kind == tokenVariable || t.kind == tokenString:
		return in.copyString("")
	case t.text == "{":
		return in.selector()
	case t.text == "[":
		return in.brackets()
	case t.text == "(":
		in.open++
	case t.text == ")" && in.open > 0:
		in.open--
	case t.text == ")" || t.text == "}" || t.text == "]":
		return in.errorf(t, "%q closes nothing", t.text)
	}
	in.copy()
	return nil
}

// word handles a name: of a function, a keyword, or a metric. Most keywords may also be names of metrics, and which of
// the two a server takes one for depends on where it stands; a keyword where an operand belongs is refused, because
// a metric would have to be bound.
func (in *injector) word(t token) error {
	name, next := strings.ToLower(t.text), in.peek(1)
	follow := strings.ToLower(next.text)
	switch {
	case labelLists[name]:
		return in.labelList(t, name, follow)
	case !in.belongs(name, follow):
		return in.keyword(t)
	case numbers[name] || operators[name] || modifiers[name]:
		in.copy()
		in.operand = !operators[name]
	case aggregations[name] || reserved[name] || follow == "(":
		in.copy()
	default:
		return in.metric()
	}
	return nil
}

// belongs reports whether a word, if it is one of PromQL's, can be that where it stands.
func (in *injector) belongs(name, follow string) bool {
	switch {
	case aggregations[name]:
		return follow == "(" || follow == "by" || follow == "without"
	case operators[name] || modifiers[name]:
		return in.operand
	case numbers[name]:
		return follow != "{"
	case name == "bool":
		return slices.Contains([]string{"=", "!=", "<", ">"}, in.last)
	case reserved[name]:
		return in.last == "@" && follow == "("
	}
	return true
}

func (in *injector) keyword(t token) error {
	return in.errorf(t, "%q is a word of PromQL and not where it belongs; write a metric of that name as {__name__=%q}",
		t.text, t.text)
}

// metric handles a selector that begins with the metric's name.
func (in *injector) metric() error {
	in.copy()
	if in.peek(0).text == "{" {
		for in.tokens[in.i].kind == tokenSpace {
			in.copy()
		}
		return in.selector()
	}
	// The matcher goes right behind the name: white space and comments may follow it.
	in.selectors++
	in.operand = true
	in.out.WriteString("{" + in.matcher("namespace") + "}")
	return nil
}

// labelList copies by, on and the like with their labels. Without parentheses only group_left and group_right can
// stand, behind on or ignoring; any of them in front of a parenthesis cannot be a metric.
func (in *injector) labelList(t token, name, follow string) error {
	grouping := strings.HasPrefix(name, "group_")
	if follow != "(" && !grouping || grouping && in.last != ")" {
		return in.keyword(t)
	}
	// Behind its aggregation's operand, a list ends the operand; anywhere else an operand follows.
	trailing := in.operand && (name == "by" || name == "without")
	in.copy()
	if follow == "(" {
		if err := in.labels(t); err != nil {
			return err
		}
	}
	in.operand = trailing
	return nil
}

// labels copies a list of labels in parentheses.
func (in *injector) labels(keyword token) error {
	for in.i < len(in.tokens) {
		t := in.tokens[in.i]
		if t.kind == tokenVariable || t.kind == tokenNumber || t.kind == tokenMark && !strings.Contains("(),", t.text) {
			return in.errorf(t, "%q in a list of labels", t.text)
		}
		in.copy()
		if t.text == ")" {
			return nil
		}
	}
	return in.errorf(keyword, "%q: the list of labels is never closed", keyword.text)
}

// brackets copies a range or a subquery: durations, and in newer servers arithmetic on them, but no selectors.
func (in *injector) brackets() error {
	start := in.tokens[in.i]
	for in.i < len(in.tokens) {
		t := in.tokens[in.i]
		word := strings.TrimLeft(t.text, ":") // of [5m:1m], :1m is a word to us
		strange := t.kind == tokenString || t.kind == tokenVariable || t.text == "{" || t.text == "[" && t.at != start.at ||
			t.kind == tokenWord && word != "" && !isDigit(word[0]) && !rangeWords[strings.ToLower(word)]
		if strange {
			return in.errorf(t, "%q within the brackets of a range", t.text)
		}
		in.copy()
		if t.text == "]" {
			return nil
		}
	}
	return in.errorf(start, "%q is never closed", "[")
}

var rangeWords = words("min max step range")

// copy writes the token at i as it is.
func (in *injector) copy() {
	t := in.tokens[in.i]
	in.out.WriteString(t.text)
	in.i++
	if t.kind != tokenSpace {
		in.last = t.text
		in.operand = t.kind == tokenNumber || t.kind == tokenString || t.text == ")" || t.text == "}" || t.text == "]"
	}
}

// peek returns the n-th token from i on that is neither space nor a comment; n = 0 may be the one at i.
func (in *injector) peek(n int) token {
	for _, t := range in.tokens[in.i:] {
		if t.kind == tokenSpace {
			continue
		}
		if n == 0 {
			return t
		}
		n--
	}
	return token{at: len(in.expr)}
}
