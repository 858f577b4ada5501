package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// mutant is the name of the variable, in the environment and in the mutated policy, that chooses a mutation by its number. No
// mutation has the number 0.
const mutant = "mutant"

// chooser is the file of the mutated policy that reads the choice. written is there for mutations that change what is written down.
const chooser = `package policy

import (
	"encoding/json"
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("` + mutant + `"))

func written(v any) ([]byte, error) { return json.Marshal(v) }
`

// program is gpuscaler with all mutations in it.
type program struct{ path, scenarios string }

// findRoot finds the folder of the repository.
func findRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gpuscaler/gpuscaler").Output()
	if err != nil {
		return "", fmt.Errorf("finding the root module: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}

// scenarioFolder is where the golden scenarios of a repository are.
func scenarioFolder(root string) string { return filepath.Join(root, "test", "scenarios") }

// build compiles the program into dir.
func build(ctx context.Context, root, dir string) (*program, error) {
	source := filepath.Join(root, "policy")
	files, err := mutate(source)
	if err != nil {
		return nil, err
	}
	files["mutant.go"] = chooser
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range files {
		overlay.Replace[filepath.Join(source, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("writing the mutated policy: %w", err)
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	listed := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(listed, list, 0o600); err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	p := &program{filepath.Join(dir, "gpuscaler"), scenarioFolder(root)}
	compile := exec.CommandContext(ctx, "go", "build", "-overlay", listed, "-ldflags=-s -w", "-o", p.path, "./cmd/gpuscaler")
	compile.Dir = root
	if output, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building with the mutated policy: %w\n%s", err, output)
	}
	return p, nil
}

// mutate returns those files of the policy that the mutations change, with all of them in it.
func mutate(source string) (map[string]string, error) {
	originals, files := map[string]string{}, map[string]string{}
	for i, m := range mutations {
		if _, ok := files[m.file]; !ok {
			text, err := os.ReadFile(filepath.Join(source, m.file))
			if err != nil {
				return nil, fmt.Errorf("reading the policy for the mutation %q: %w", m.name, err)
			}
			originals[m.file], files[m.file] = string(text), string(text)
		}
		if n := strings.Count(originals[m.file], m.old); n != 1 {
			return nil, fmt.Errorf("mutation %q: policy/%s has %q %d times; it must be there once: bring the mutation up to date", m.name, m.file, m.old, n)
		}
		if strings.Count(files[m.file], m.old) != 1 {
			return nil, fmt.Errorf("mutation %q: another one changes %q in policy/%s too: choose texts that do not overlap", m.name, m.old, m.file)
		}
		text := strings.ReplaceAll(m.new, "= N", "= "+strconv.Itoa(i+1))
		files[m.file] = strings.Replace(files[m.file], m.old, text, 1)
	}
	return files, nil
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
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", mutant, number))
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
