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
	fmt.Println(criterion(comparisons) + sums(comparisons))
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

// TestCriterion wants the criterion to hold in a few cells, with every rival and every setting, and two seeds.
func TestCriterion(t *testing.T) {
	few := cells(builtin()[:1], []time.Duration{2 * time.Minute}, []hazard{calm, outage})
	start := time.Now()
	comparisons := play(t, few, arms(), 2, func(int, int) {})
	t.Logf("%v\n%s%s", time.Since(start), criterion(comparisons), sums(comparisons))
	for i := range comparisons {
		t.Log("\n" + rows(&comparisons[i]))
	}
	if v := judge(comparisons, chosen); !v.holds() {
		t.Error(v.String())
	}
}
