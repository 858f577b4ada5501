package arrows

import (
	"slices"
	"strings"
	"testing"
)

// ban says what the packages of a folder must not depend on, directly or through
// others, and why.
type ban struct {
	folder string
	why    string
	broken func(dep listed) bool
}

var bans = []ban{
	{
		"policy", "policy depends on the standard library only",
		func(dep listed) bool { return !dep.Standard && !within(dep.ImportPath, "policy") },
	},
	{
		"metrics", "metrics knows neither the controller nor Kubernetes",
		func(dep listed) bool {
			return within(dep.ImportPath, "controller") ||
				strings.HasPrefix(dep.ImportPath, "k8s.io/") || strings.HasPrefix(dep.ImportPath, "sigs.k8s.io/")
		},
	},
	{
		"controller", "the controller is given its metrics by cmd",
		func(dep listed) bool { return within(dep.ImportPath, "metrics") },
	},
	{
		"controller", "the controller stays small: these belong to the command line",
		func(dep listed) bool {
			return dep.ImportPath == "plugin" ||
				under(dep.ImportPath, "k8s.io/cli-runtime") ||
				under(dep.ImportPath, "github.com/spf13/cobra") ||
				under(dep.ImportPath, "github.com/prometheus/common/config")
		},
	},
	{
		"cmd/gpuscaler", "what reads NVML and asks the kubelet is the agent's: with cgo on, this program would need both",
		func(dep listed) bool {
			return within(dep.ImportPath, "metrics/nvml") || under(dep.ImportPath, "k8s.io/kubelet") || under(dep.ImportPath, "google.golang.org/grpc")
		},
	},
}

// TestDependencies follows the arrows cmd -> controller -> policy <- metrics
// through everything a package is built from.
func TestDependencies(t *testing.T) {
	all := packages(t)
	for _, p := range all {
		for _, b := range bans {
			if !within(p.ImportPath, b.folder) {
				continue
			}
			for _, dep := range p.Deps {
				if b.broken(all[dep]) {
					t.Errorf("%s depends on %s: %s", p.ImportPath, dep, b.why)
				}
			}
		}
	}
}

// TestImports holds the arrows in tests too, and the two rules about single
// imports: nobody imports cmd, and go-nvml has one importer.
func TestImports(t *testing.T) {
	all := packages(t)
	for _, p := range all {
		from := area(p.ImportPath)
		if from == "" {
			continue
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if why := wrongImport(from, p.ImportPath, imported, all[imported].Standard); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
	}
}

// wrongImport returns why a package must not import another, and "" if it may.
// A package that is not known to be of the standard library, because only a test
// imports it, is told by the dot in its first element.
func wrongImport(from, importer, imported string, standard bool) string {
	first, _, _ := strings.Cut(imported, "/")
	standard = standard || !strings.Contains(first, ".")
	to := area(imported)
	switch {
	case to == "cmd" && from != "cmd":
		return "nobody imports cmd"
	case under(imported, "github.com/NVIDIA/go-nvml") && !within(importer, "metrics/nvml"):
		return "only metrics/nvml imports go-nvml"
	case from == "policy" && !standard && to != "policy":
		return "policy imports the standard library only"
	case from == "metrics" && to == "controller", from == "controller" && to == "metrics":
		return "controller and metrics do not know each other"
	}
	return ""
}

// TestWrongImport tries the rules on imports that must be refused and on
// neighbours of theirs that must not.
func TestWrongImport(t *testing.T) {
	const nvml = "github.com/NVIDIA/go-nvml/pkg/nvml"
	for _, c := range []struct {
		importer, imported string
		refused            bool
	}{
		{module + "/controller", module + "/cmd/gpuscaler", true},
		{module + "/cmd/gpuscaler", module + "/cmd/gpuscaler/plan", false},
		{module + "/cmd/nvml-agent", nvml, true},
		{module + "/metrics/nvml", nvml, false},
		{module + "/policy", "github.com/go-logr/logr", true},
		{module + "/policy", "math/rand/v2", false},
		{module + "/policy", module + "/policy/model", false},
		{module + "/policy", module + "/metrics", true},
		{module + "/metrics", module + "/controller", true},
		{module + "/controller", module + "/metrics/prometheus", true},
		{module + "/metrics", module + "/policy", false},
		{module + "/cmd/gpuscaler", module + "/metrics", false},
	} {
		why := wrongImport(area(c.importer), c.importer, c.imported, false)
		if (why != "") != c.refused {
			t.Errorf("%s imports %s: got %q, want refused: %t", c.importer, c.imported, why, c.refused)
		}
	}
}
