package importer

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestGolden imports each file in testdata, as a patch and as a manifest.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, imports := translate(t, text)
			var out bytes.Buffer
			if err := Patch(&out, imports); err != nil {
				t.Fatal(err)
			}
			out.WriteString("==== as a manifest\n")
			changes, err := Edit(&out, file, imports)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "==== %s\n", strings.Join(changes, "\n==== "))
			compare(t, strings.TrimSuffix(name, ".yaml")+".golden", out.Bytes())
		})
	}
}

// translate imports a file that can be read.
func translate(t *testing.T, text []byte) (*File, []Import) {
	t.Helper()
	file, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	imports, err := new(Importer).File(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, imports
}

// compare compares with a golden file, or writes it.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s:\n%s", name, got)
	}
}

// TestErrors wants what cannot be imported to be named.
func TestErrors(t *testing.T) {
	const hpa = "kind: HorizontalPodAutoscaler\nmetadata: {name: llm}\n"
	for text, want := range map[string]string{
		"kind: Service":                         "no HorizontalPodAutoscaler and no ScaledObject is in it",
		"":                                      "no HorizontalPodAutoscaler and no ScaledObject is in it",
		hpa + "apiVersion: autoscaling/v2beta1": `apiVersion "autoscaling/v2beta1": allowed are autoscaling/v2, autoscaling/v1, autoscaling/v2beta2`,
		hpa + "apiVersion: autoscaling/v2\nspec: {maxReplicas: many}":                           "reading HorizontalPodAutoscaler llm",
		"apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: \"a; b\"}": `the name "a; b"`,
		"a: 1\n---\nb: [":   "begins on line 2",
		"a: 1\n...\nb: 1\n": "separate documents by lines of ---",
		"a: {.nan: .nan}":   "line 1",
	} {
		file, err := Read([]byte(text))
		if err == nil {
			_, err = new(Importer).File(file)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// FuzzImport wants of any manifest that what comes out is valid: the annotations, the queries, the patch and the edited manifest.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Read(text)
		if err != nil {
			return
		}
		imports, err := new(Importer).File(file)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without words")
			}
			return
		}
		for n := range imports {
			checkImport(t, &imports[n])
		}
		checkOutput(t, file, imports)
	})
}

// checkImport wants annotations that pass, or a reason why there are none.
func checkImport(t *testing.T, i *Import) {
	t.Helper()
	if len(i.Annotations) == 0 {
		if len(i.Unsupported) == 0 {
			t.Errorf("%s: no annotations and no reason", i)
		}
		return
	}
	if _, problems := policy.Parse(i.Annotations, policy.Settings{MaxSampleAge: time.Minute, Interval: time.Second}); len(problems) > 0 {
		t.Errorf("%s: %v", i, problems)
	}
	for key, name := range i.Annotations {
		if _, ok := i.Queries[name]; strings.HasPrefix(key, policy.Prefix+"query.") && !ok {
			t.Errorf("%s: %s names the query %q, which is not among %v", i, key, name, i.Queries)
		}
	}
}

// checkOutput wants queries that the controller reads, a patch that runs nothing but kubectl, and a manifest that can be read.
func checkOutput(t *testing.T, file *File, imports []Import) {
	t.Helper()
	text, err := QueriesFile(AllQueries(imports))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.ParseQueries(text); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	var out bytes.Buffer
	if err := Patch(&out, imports); err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(out.String()) {
		switch {
		case inside:
			inside = line != "EOF\n"
		case strings.HasPrefix(line, "kubectl patch "):
			inside = true
		case line != "\n" && !strings.HasPrefix(line, "#"):
			t.Errorf("the patch would run %q", line)
		}
	}
	out.Reset()
	if _, err := Edit(&out, file, imports); err != nil {
		return
	}
	if _, err := Read(out.Bytes()); err != nil {
		t.Errorf("%v in the manifest\n%s", err, out.String())
	}
}
