package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

const troubleshooting = "../../../deploy/troubleshooting.md"

// The page names the findings that there are, and all that ask for something to be done.
func TestTroubleshooting(t *testing.T) {
	text, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("`(ok|info|warning|error) ([a-z-]+)`").FindAllStringSubmatch(string(text), -1) {
		told[m[1]+" "+m[2]] = true
	}
	possible := findable(t)
	for finding := range told {
		if !possible[finding] {
			t.Errorf("the page names %q, which doctor never says", finding)
		}
	}
	for finding := range possible {
		if severe := strings.HasPrefix(finding, "error ") || strings.HasPrefix(finding, "warning "); severe && !told[finding] {
			t.Errorf("the page does not name %q", finding)
		}
	}
}

// The page names the reasons that there are, and all that are not a matter of course.
func TestTroubleshootingReasons(t *testing.T) {
	text, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	ordinary := []policy.Reason{
		policy.ReadyForNewScale, policy.SuccessfulRescale, policy.DesiredWithinRange, policy.ScaleDownLimit, policy.TooFewReplicas,
		policy.Activated, policy.DryRun,
	}
	for _, reason := range policy.Reasons() {
		if told := strings.Contains(string(text), "`"+string(reason)+"`"); told == slices.Contains(ordinary, reason) {
			t.Errorf("%s: told is %v", reason, told)
		}
	}
}

// findable are all findings, as "severity check": those that the tests of Judge bring about, and those that its source names.
func findable(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, c := range wrongs {
		facts := healthy(t)
		w := &facts.Workloads[0]
		c.change(facts, w, &w.Readings[0], &facts.Signals[0])
		report := Judge(facts)
		for _, f := range report.Findings {
			all[string(f.Severity)+" "+string(f.Check)] = true
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fileSet := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fileSet, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	checks, added := constants(parsed), 0
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			if severity, check := addition(n); checks[severity] != "" && checks[check] != "" {
				all[checks[severity]+" "+checks[check]] = true
				added++
			}
			return true
		})
	}
	if added < 50 {
		t.Errorf("found %d findings in the source, which has more", added)
	}
	return all
}

// constants are the values of all constants that are strings, by name.
func constants(files []*ast.File) map[string]string {
	values := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if value, err := strconv.Unquote(literal.Value); err == nil {
					values[spec.Names[0].Name] = value
				}
			}
			return true
		})
	}
	return values
}

// addition returns the names of severity and check of a call of add, empty if it is none or they are no plain names.
func addition(n ast.Node) (severity, check string) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return "", ""
	}
	if method, ok := call.Fun.(*ast.SelectorExpr); !ok || method.Sel.Name != "add" {
		return "", ""
	}
	first, ok1 := call.Args[0].(*ast.Ident)
	second, ok2 := call.Args[1].(*ast.Ident)
	if !ok1 || !ok2 {
		return "", ""
	}
	return first.Name, second.Name
}
