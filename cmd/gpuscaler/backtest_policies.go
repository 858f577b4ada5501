package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/gpuscaler/gpuscaler/policy"
)

// candidate is one policy that is tried.
type candidate struct {
	name string
	spec policy.Spec
}

// candidates are the policies that are tried: the annotations as they are, and each --set. A Deployment that has none of our
// annotations yet has only the latter.
func (o *backtestOptions) candidates(annotations map[string]string, settings policy.Settings) ([]candidate, error) {
	var list []candidate
	plain := maps.Clone(annotations)
	delete(plain, policy.Prefix+"enabled")
	if len(plain) > 0 || len(o.sets) == 0 {
		spec, err := specOf(annotations, settings)
		if err != nil {
			return nil, fmt.Errorf("the annotations of the Deployment: %w", err)
		}
		list = append(list, candidate{"as annotated", spec})
	}
	for _, set := range o.sets {
		changed, err := withSet(annotations, set)
		if err != nil {
			return nil, usageError{err}
		}
		spec, err := specOf(changed, settings)
		if err != nil {
			return nil, fmt.Errorf("--set %q: %w", set, err)
		}
		list = append(list, candidate{set, spec})
	}
	return list, nil
}

// specOf parses annotations. Whether they opt in does not matter: what they would do is the question.
func specOf(annotations map[string]string, settings policy.Settings) (policy.Spec, error) {
	asked := map[string]string{}
	maps.Copy(asked, annotations)
	asked[policy.Prefix+"enabled"] = "true"
	spec, problems := policy.Parse(asked, settings)
	if len(problems) > 0 {
		return spec, problems
	}
	return spec, nil
}

// assignment is the beginning of key=value. The parts of a schedule have a space before their =.
var assignment = regexp.MustCompile(`^\s*[a-z0-9./_-]+\s*=`)

// withSet returns the annotations with some of them changed: key=value, several with ; between them, and key= to take one away.
func withSet(annotations map[string]string, set string) (map[string]string, error) {
	changed := map[string]string{}
	maps.Copy(changed, annotations)
	for _, part := range assignments(set) {
		key, value, found := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found || key == "" {
			return nil, fmt.Errorf("--set %q is not allowed: give key=value with a key of ours, such as target.queue-depth=4", cmp.Or(part, set))
		}
		key = policy.Prefix + strings.TrimPrefix(key, policy.Prefix)
		changed[key] = value
		if value == "" {
			delete(changed, key)
		}
	}
	return changed, nil
}

// assignments cuts a --set at those ; behind which a key=value begins: a schedule has others.
func assignments(set string) []string {
	var parts []string
	for _, piece := range strings.Split(set, ";") {
		if len(parts) > 0 && !assignment.MatchString(piece) {
			if strings.TrimSpace(piece) != "" {
				parts[len(parts)-1] += ";" + piece
			}
			continue
		}
		parts = append(parts, piece)
	}
	return parts
}
