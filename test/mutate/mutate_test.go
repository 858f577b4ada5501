package main

import (
	"slices"
	"strings"
	"testing"
)

// TestMutations does what the program does: every scenario must notice its mutations, and each of these must fit the policy
// as it is now.
func TestMutations(t *testing.T) {
	var table strings.Builder
	if err := run(t.Context(), &table); err != nil {
		t.Errorf("%v\n%s", err, table.String())
	}
}

// TestRules wants every rule to be taken away at least once, and each mutation to have a name of its own.
func TestRules(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutations {
		if names[m.name] {
			t.Errorf("two mutations are named %q", m.name)
		}
		names[m.name] = true
	}
	for rule := 1; rule <= 12; rule++ {
		if !slices.ContainsFunc(mutations, func(m mutation) bool { return m.rule == rule }) {
			t.Errorf("no mutation takes rule %d away", rule)
		}
	}
}
