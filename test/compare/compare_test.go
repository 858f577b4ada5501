package compare

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

var (
	full   = flag.Bool("full", false, "play everything and rewrite the table of README.md")
	folder = flag.String("traces", "", "the folder of the Azure LLM inference traces of 2023; without it they are left out")
	first  = flag.Int("seeds", seeds, "how many of the five seeds to play")
	table  = flag.String("csv", "", "the file to write every result to")
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	flag.Parse()
	os.Exit(m.Run())
}

// TestCompare is `make compare`: it plays everything, writes the tables, and then wants the criterion to hold.
func TestCompare(t *testing.T) {
	if !*full {
		t.Skip("run it by make compare; it takes some minutes")
	}
	loads := builtin()
	more, err := recorded(*folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(more) == 0 {
		t.Logf("no traces in %q: they are left out", *folder)
	}
	loads = append(loads, more...)
	comparisons := play(t, cells(loads, startups, []hazard{calm, outage, shortage}), arms(), *first, tell)
	var file bytes.Buffer
	if err := writeCSV(&file, comparisons); err != nil {
		t.Fatal(err)
	}
	if *table != "" {
		if err := os.MkdirAll(filepath.Dir(*table), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*table, file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := rewrite("README.md", markdown(comparisons)); err != nil {
		t.Fatal(err)
	}
	fmt.Println(criterion(comparisons) + sums(comparisons) + fixed(comparisons))
	if v := judge(comparisons, chosen); !v.holds() {
		t.Error(v.String())
	}
}

// tell shows how far it is.
func tell(done, of int) {
	if done*20/of != (done-1)*20/of {
		fmt.Fprintf(os.Stderr, "%d of %d runs\n", done, of)
	}
}

const (
	tableBegins = "<!-- the table: make compare writes it -->"
	tableEnds   = "<!-- end of the table -->"
)

// rewrite puts the table between its marks.
func rewrite(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the page for the table: %w", err)
	}
	before, rest, found := strings.Cut(string(page), tableBegins)
	_, after, alsoFound := strings.Cut(rest, tableEnds)
	if !found || !alsoFound {
		return fmt.Errorf("%s has no place for the table: want %q and %q in it", path, tableBegins, tableEnds)
	}
	page = []byte(before + tableBegins + "\n" + text + "\n" + tableEnds + after)
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// TestCriterion wants the criterion to hold in two cells, with every setting of every rival, and two seeds.
func TestCriterion(t *testing.T) {
	few := cells(builtin()[:1], []time.Duration{2 * time.Minute}, []hazard{calm, outage})
	comparisons := play(t, few, arms(), 2, func(int, int) {})
	v := judge(comparisons, chosen)
	if v.cells != len(few) {
		t.Fatalf("%d cells judged, want %d", v.cells, len(few))
	}
	if !v.holds() {
		t.Errorf("%v\n%s", &v, strings.Join(v.lost, "\n"))
	}
}

// TestRepeatable: what is played twice gives the same numbers, whichever processor plays it, and no autoscaler leaves the load unserved
// or the pods as they were.
func TestRepeatable(t *testing.T) {
	list := arms()
	for i := range list {
		list[i].settings = list[i].settings[:1]
	}
	one := cells(builtin()[3:], []time.Duration{30 * time.Second}, []hazard{shortage})
	first, second := play(t, one, list, 1, func(int, int) {}), play(t, one, list, 1, func(int, int) {})
	for i := range list {
		r := first[0].results[i][0]
		if r != second[0].results[i][0] {
			t.Errorf("first %v, then %v", r, second[0].results[i][0])
		}
		if r.attainment <= 0 || r.ttftP99 <= 0 || r.peakPods <= startReplicas || r.gpuHours <= 1 {
			t.Errorf("%v: want some attainment, more than %d pods and more than one GPU-hour", r, startReplicas)
		}
	}
}

// TestMarkdown: every autoscaler stands in every cell of the table, and every setting in the CSV.
func TestMarkdown(t *testing.T) {
	comparisons, _ := prepare(cells(builtin(), startups, []hazard{calm, outage, shortage}), arms(), 1)
	text := markdown(comparisons)
	settings := 0
	for _, a := range arms() {
		settings += len(a.settings)
		lines := 0
		for _, l := range builtin() {
			lines += strings.Count(text, "| "+l.name+" | ") / len(arms())
		}
		if lines != len(comparisons) || strings.Count(text, "| "+a.name+" | "+a.settings[0].name+" | ") != len(comparisons)+1 {
			t.Errorf("%s is not in each of the %d cells once", a.name, len(comparisons))
		}
	}
	var file bytes.Buffer
	if err := writeCSV(&file, comparisons); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(file.String(), "\n"), 1+settings*len(comparisons); got != want {
		t.Errorf("the CSV has %d lines, want %d", got, want)
	}
}

// TestRewrite: only what stands between the marks changes, and a page without them is an error.
func TestRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	for text, want := range map[string]string{
		"a " + tableBegins + " old " + tableEnds + " b": "a " + tableBegins + "\nnew\n" + tableEnds + " b",
		"no place": "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := rewrite(path, "new")
		got, readErr := os.ReadFile(path)
		switch {
		case readErr != nil:
			t.Fatal(readErr)
		case want == "" && err == nil:
			t.Errorf("%q: no error", text)
		case want != "" && string(got) != want:
			t.Errorf("%q became %q, want %q; %v", text, got, want, err)
		}
	}
}
