package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gpuscaler/gpuscaler/test/mutant"
)

// program is gpuscaler with all mutations in it.
type program struct{ path, scenarios string }

// scenarioFolder is where the golden scenarios of a repository are.
func scenarioFolder(root string) string { return filepath.Join(root, "test", "scenarios") }

// build compiles the program into dir.
func build(ctx context.Context, root, dir string) (*program, error) {
	list := make([]mutant.Mutation, len(mutations))
	for i, m := range mutations {
		list[i] = mutant.Mutation{Name: m.name, Edits: []mutant.Edit{{File: "policy/" + m.file, Old: m.old, New: m.new}}}
	}
	path, err := mutant.Build(ctx, root, dir, list)
	return &program{path, scenarioFolder(root)}, err
}

// holds wants every scenario to give its golden table while nothing is mutated.
func (p *program) holds(ctx context.Context) error {
	var broken []error
	held := map[string]bool{}
	for _, m := range mutations {
		if held[m.scenario] {
			continue
		}
		held[m.scenario] = true
		differs, err := p.notices(ctx, 0, m.scenario)
		if err == nil && differs {
			err = fmt.Errorf("%s does not give its golden table even with the whole policy: mend it first", m.scenario)
		}
		if err != nil {
			broken = append(broken, err)
		}
	}
	return errors.Join(broken...)
}

// notices runs a scenario with a mutation, and reports whether its table is not the golden one. Expectations that do not hold are no
// failure, everything else is.
func (p *program) notices(ctx context.Context, number int, scenario string) (bool, error) {
	golden, err := os.ReadFile(filepath.Join(p.scenarios, scenario+".txt"))
	if err != nil {
		return false, fmt.Errorf("reading the golden table: %w", err)
	}
	cmd := exec.CommandContext(ctx, p.path, "simulate", filepath.Join(p.scenarios, scenario+".yaml"))
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", mutant.Variable, number))
	var table, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &table, &problems
	var exit *exec.ExitError
	switch err := cmd.Run(); {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() == 1 && table.Len() > 0:
	default:
		return false, fmt.Errorf("simulating %s: %w\n%s", scenario, err, problems.String())
	}
	return !bytes.Equal(table.Bytes(), golden), nil
}
