package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefix is that of all annotations.
const Prefix = "gpuscaler.io/"

// Settings are what a Spec takes from the controller and not from the Deployment.
type Settings struct {
	// MaxSampleAge and Interval become those of the Spec.
	MaxSampleAge, Interval time.Duration
	// Classes are the administrator's, each a set of keys without the prefix. They go before built-in ones of the same name.
	Classes map[string]map[string]string
	// Queries are the names that the administrator defined. Nil means that they are not known here, and any name is taken.
	Queries map[string]bool
}

// Problem is one thing that is wrong with an annotation.
type Problem struct {
	// Key is the annotation with its prefix, Value what it says, empty if it is absent.
	Key, Value string
	// Message says what is wrong and what is allowed.
	Message string
}

// Error returns key, value and message in a line.
func (p Problem) Error() string {
	if p.Value == "" {
		return fmt.Sprintf("%s: %s", printable(p.Key), p.Message)
	}
	return fmt.Sprintf("%s: %q %s", printable(p.Key), short(p.Value), p.Message)
}

// printable cuts a key that is too long, and lets no control characters through to a terminal.
func printable(key string) string {
	key = short(key)
	if strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(key)
	}
	return key
}

// short cuts a value that is too long to be shown whole.
func short(value string) string {
	const longest = 100
	if len(value) <= longest {
		return value
	}
	return strings.ToValidUTF8(value[:longest], "") + "…"
}

// Problems are all things that are wrong with the annotations of a Deployment, in the order of their keys.
type Problems []Problem

// Error returns all problems, a line each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// OptedIn reports whether a Deployment means to be scaled. A value that is neither true nor false must be told as an error, so
// it counts.
func OptedIn(annotations map[string]string) bool {
	enabled, given := annotations[Prefix+"enabled"]
	return given && enabled != "false"
}

// Annotated reports whether any annotation is ours.
func Annotated(annotations map[string]string) bool {
	for k := range annotations {
		if strings.HasPrefix(k, Prefix) {
			return true
		}
	}
	return false
}

// Parse reads the annotations of one Deployment, ours and others. It reports every problem at once; with any problem
// the Spec must not be used. Of more annotations than anyone can mean (see Ours) only that is reported.
func Parse(annotations map[string]string, settings Settings) (Spec, Problems) {
	p := parser{settings: settings, given: map[string]string{}}
	p.spec = Spec{
		MinReplicas:  1,
		CapacityWait: 15 * time.Minute,
		OverrideHold: 10 * time.Minute,
		MaxSampleAge: settings.MaxSampleAge,
		Interval:     settings.Interval,
		ScaleUp: Rules{
			Policies:  []ScalingPolicy{{Type: Pods, Value: 4, Period: 15 * time.Second}, {Type: Percent, Value: 100, Period: 15 * time.Second}},
			Tolerance: 0.1,
		},
		ScaleDown: Rules{
			StabilizationWindow: 5 * time.Minute,
			Policies:            []ScalingPolicy{{Type: Percent, Value: 100, Period: 15 * time.Second}},
			Tolerance:           0.1,
		},
	}
	if why := excess(Ours(annotations)); why != "" {
		const key = Prefix + "enabled" // whatever they mean, nothing is to be written
		return p.spec, Problems{{Key: key, Value: annotations[key], Message: why}}
	}
	p.collect(annotations)
	for _, name := range slices.Sorted(maps.Keys(p.given)) {
		p.parse(name, p.given[name])
	}
	p.check()
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
	return p.spec, p.problems
}

// parser carries what is known while the keys are read one by one.
type parser struct {
	settings Settings
	given    map[string]string // the keys without prefix, those of the class among them
	spec     Spec
	problems Problems
}

// collect finds our keys and lays those of the class under them.
func (p *parser) collect(annotations map[string]string) {
	for k, v := range annotations {
		if name, ours := strings.CutPrefix(k, Prefix); ours {
			p.given[name] = v
		}
	}
	class, ok := p.given["class"]
	if !ok {
		return
	}
	keys, ok := p.settings.Classes[class]
	if !ok {
		keys, ok = builtinClasses[class]
	}
	if !ok {
		p.refuse("class", fmt.Sprintf("is not a class: allowed are %s", strings.Join(p.classNames(), ", ")))
		return
	}
	for name, value := range keys {
		if _, own := p.given[name]; !own {
			p.given[name] = value
		}
	}
}

// classNames lists the classes that there are.
func (p *parser) classNames() []string {
	names := slices.Collect(maps.Keys(builtinClasses))
	names = slices.AppendSeq(names, maps.Keys(p.settings.Classes))
	slices.Sort(names)
	return slices.Compact(names)
}

// parse reads one key by its row of the table.
func (p *parser) parse(name, value string) {
	k, signal := lookup(name)
	if k == nil {
		p.refuse(name, "is not a known key"+suggest(name))
		return
	}
	if err := k.Allowed.read(&p.spec, signal, value); err != nil {
		p.refuse(name, err.Error())
	}
}

// refuse adds a problem with a key.
func (p *parser) refuse(name, message string) {
	value, given := p.given[name]
	if given && value == "" {
		message = `"" ` + message // else it looks like a key that is absent
	}
	p.problems = append(p.problems, Problem{Key: Prefix + name, Value: value, Message: message})
}

// refused reports whether a key already has a problem, so that no second one follows from it.
func (p *parser) refused(name string) bool {
	return slices.ContainsFunc(p.problems, func(q Problem) bool { return q.Key == Prefix+name })
}

// lookup finds the row of a key, and the signal if its name ends in one.
func lookup(name string) (*Key, Signal) {
	for i := range keys {
		k := &keys[i]
		if k.Name == name {
			return k, ""
		}
		stem, perSignal := strings.CutSuffix(k.Name, "<signal>")
		if signal, ok := strings.CutPrefix(name, stem); perSignal && ok && signal != "" {
			return k, Signal(signal)
		}
	}
	return nil, ""
}

// suggest names the known key that is nearest to an unknown one, if any is near.
func suggest(name string) string {
	best, distance := "", 4
	for i := range keys {
		if d := editDistance(name, keys[i].Name); d < distance {
			best, distance = keys[i].Name, d
		}
	}
	if best == "" {
		return ": the annotation table in the README lists them all"
	}
	return fmt.Sprintf(": did you mean %s%s?", Prefix, best)
}

// editDistance is Levenshtein's distance. Names that are far too long are not near anything.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
