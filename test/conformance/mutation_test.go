package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is the name of the variable, in the environment and in the mutated policy, that chooses a mutation.
const mutant = "mutant"

// mutations are small wrongs, each of which must make a tick differ. In a new text, `mutant == N` stands for the
// mutation's own number.
var mutations = []struct{ name, file, old, new string }{
	{
		"an entry as old as its window counts", "stabilize.go",
		"var upLast, downLast time.Time",
		"if mutant == N { upCutoff, downCutoff = upCutoff.Add(-1), downCutoff.Add(-1) }\n\tvar upLast, downLast time.Time",
	},
	{
		"an event as old as its period counts", "state.go",
		"cutoff, change := now.Add(-period), 0",
		"if mutant == N { period++ }\n\tcutoff, change := now.Add(-period), 0",
	},
	{
		"replicas are rounded down", "recommend.go",
		"return int(min(math.Ceil(v), math.MaxInt32))",
		"if mutant == N { return int(v) }\n\treturn int(min(math.Ceil(v), math.MaxInt32))",
	},
	{
		"a percentage is rounded down when raising", "limit.go",
		"return int(clampInt32(math.Ceil(float64(start) * (1 + float64(p.Value)/100))))",
		"if mutant == N { return int(float64(start) * (1 + float64(p.Value)/100)) }\n\t\treturn int(clampInt32(math.Ceil(float64(start) * (1 + float64(p.Value)/100))))",
	},
	{
		"min and max of the select policies are swapped", "limit.go",
		"farther == (rules.SelectPolicy == MaxChange)",
		"farther == ((rules.SelectPolicy == MaxChange) != (mutant == N))",
	},
	{
		"missing pods count as idle when lowering", "recommend.go",
		"t.sum += int64(t.missing) * target",
		"if mutant != N { t.sum += int64(t.missing) * target }",
	},
	{
		"loading pods count for nothing when raising", "recommend.go",
		"n += t.missing + t.loading",
		"n += t.missing; if mutant != N { n += t.loading }",
	},
	{
		"the mean is not truncated", "recommend.go",
		"ratio := float64(t.sum/int64(n)) / float64(target)",
		"ratio := float64(t.sum/int64(n)) / float64(target); if mutant == N { ratio = float64(t.sum) / float64(n) / float64(target) }",
	},
	{
		"recommendations are not remembered", "state.go",
		"if s.Newest.Replicas != replicas {",
		"if mutant == N { return }\n\tif s.Newest.Replicas != replicas {",
	},
	{
		"an empty state is not seeded", "state.go",
		"if s.Newest.Time.IsZero() {",
		"if mutant != N && s.Newest.Time.IsZero() {",
	},
	{
		"a jump to the bounds is no scale event", "state.go",
		"if d.Reason != ReplicasReset {",
		"if d.Reason != ReplicasReset && (mutant != N || d.Recommended.Reason != TooManyReplicas && d.Recommended.Reason != TooFewReplicas) {",
	},
	{
		"the tolerances are swapped", "recommend.go",
		"return 1-s.ScaleDown.Tolerance <= ratio && ratio <= 1+s.ScaleUp.Tolerance",
		"if mutant == N { return 1-s.ScaleUp.Tolerance <= ratio && ratio <= 1+s.ScaleDown.Tolerance }\n\treturn 1-s.ScaleDown.Tolerance <= ratio && ratio <= 1+s.ScaleUp.Tolerance",
	},
	{
		"a tolerance excludes its end", "recommend.go",
		"func (s *Spec) tolerates(ratio float64) bool {",
		"func (s *Spec) tolerates(ratio float64) bool {\n\tif mutant == N { return 1-s.ScaleDown.Tolerance < ratio && ratio < 1+s.ScaleUp.Tolerance }",
	},
	{
		"a missing signal lets the others lower", "recommend.go",
		"t.lower = false",
		"t.lower = mutant == N",
	},
}

// TestMutations builds the comparison with a policy that can be made wrong, and wants every wrong to be found. Without
// any, the same program must find nothing.
func TestMutations(t *testing.T) {
	program := buildMutable(t)
	for number := range len(mutations) + 1 {
		name := "none"
		if number > 0 {
			name = mutations[number-1].name
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := runMutant(t, program, number)
			var exit *exec.ExitError
			switch found := bytes.Contains(output, []byte("differs: ")); {
			case number == 0 && err != nil:
				t.Fatalf("the unchanged policy fails: %v\n%s", err, output)
			case number > 0 && err == nil:
				t.Error("no tick of any scenario differs")
			case number > 0 && (!found || !errors.As(err, &exit)):
				t.Fatalf("failed otherwise than by a difference: %v\n%s", err, output)
			}
		})
	}
}

// runMutant runs the comparison with one mutation, 0 for none.
func runMutant(t *testing.T, program string, number int) ([]byte, error) {
	scenarios := 500
	if number == 0 {
		scenarios = 100
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestConformance$", fmt.Sprintf("-seeds=%d", scenarios))
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", mutant, number))
	return cmd.CombinedOutput()
}

// buildMutable builds this test with all mutations in the policy, off until chosen, by an overlay: no file is changed.
func buildMutable(t *testing.T) string {
	dir := t.TempDir()
	source := policyDir(t)
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range mutate(t, source) {
		overlay.Replace[filepath.Join(source, file)] = filepath.Join(dir, file)
		write(t, filepath.Join(dir, file), text)
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatalf("writing the overlay: %v", err)
	}
	list, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "conformance.test")
	write(t, list, string(text))
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", list, "-o", program, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building with the mutated policy: %v\n%s", err, output)
	}
	return program
}

// policyDir finds the package under test.
func policyDir(t *testing.T) string {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/gpuscaler/gpuscaler/policy").Output()
	if err != nil {
		t.Fatalf("finding the policy package: %v", err)
	}
	return strings.TrimSpace(string(output))
}

// mutate returns the files of the policy that the mutations change, and one more that chooses among them.
func mutate(t *testing.T, source string) map[string]string {
	files := map[string]string{"mutant.go": `package policy

import (
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("` + mutant + `"))
`}
	for i, m := range mutations {
		if _, ok := files[m.file]; !ok {
			text, err := os.ReadFile(filepath.Join(source, m.file))
			if err != nil {
				t.Fatalf("reading the policy: %v", err)
			}
			files[m.file] = string(text)
		}
		if n := strings.Count(files[m.file], m.old); n != 1 {
			t.Fatalf("mutation %q: policy/%s has %q %d times; it must be there once: bring the mutation up to date", m.name, m.file, m.old, n)
		}
		text := strings.ReplaceAll(m.new, "= N", fmt.Sprintf("= %d", i+1))
		files[m.file] = strings.Replace(files[m.file], m.old, text, 1)
	}
	return files
}

// write writes a file.
func write(t *testing.T, path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
