package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
)

// classesDir is a folder with a file of classes, written as an editor or as a kubelet does.
type classesDir struct {
	t    *testing.T
	path string
	// age makes each version of the file a second younger than the one before: on some disks two of them could have one time.
	age time.Duration
}

// write writes the file in place.
func (d *classesDir) write(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.age -= time.Second
	if at := time.Now().Add(-time.Hour - d.age); os.Chtimes(d.path, at, at) != nil {
		d.t.Fatal("setting the file's time")
	}
}

// remove removes it.
func (d *classesDir) remove() {
	if err := os.Remove(d.path); err != nil {
		d.t.Fatal(err)
	}
}

// mount lets the path lead to another file, as a ConfigMap that is mounted does: path -> ..data/name -> ..N/name.
func (d *classesDir) mount(text string) {
	d.t.Helper()
	dir, name := filepath.Split(d.path)
	version, err := os.MkdirTemp(dir, "..")
	if err != nil {
		d.t.Fatal(err)
	}
	data := filepath.Join(dir, "..data")
	check := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	check(os.WriteFile(filepath.Join(version, name), []byte(text), 0o600))
	check(os.Symlink(filepath.Base(version), data+"_tmp"))
	check(os.Rename(data+"_tmp", data))
	if _, err := os.Lstat(d.path); err != nil {
		check(os.Symlink(filepath.Join("..data", name), d.path))
	}
}

func TestClassesAreReadAgain(t *testing.T) {
	const (
		one    = "classes: {one: {target.queue-depth: 4}}\n"
		two    = "classes: {two: {target.queue-depth: 9}}\n"
		broken = "classes: {two: {target.queue-depth: many}}\n"
		worse  = "classes: [\n"
	)
	for name, tt := range map[string]struct {
		start func(*classesDir)
		// looks says what happens before each look, nil for nothing.
		looks []func(*classesDir)
		// told is what the looks tell, space for none and ! for an error in the log.
		told string
	}{
		"nothing happens":      {nil, []func(*classesDir){nil, nil, nil}, ",,"},
		"another":              {nil, []func(*classesDir){nil, func(d *classesDir) { d.write(two) }, nil, nil, nil}, ",,two,,"},
		"none any more":        {nil, []func(*classesDir){func(d *classesDir) { d.write("") }, nil, nil}, ",none,"},
		"written again":        {nil, []func(*classesDir){nil, func(d *classesDir) { d.write(one) }, nil, nil}, ",,,"},
		"half written":         {nil, []func(*classesDir){func(d *classesDir) { d.write(worse) }, func(d *classesDir) { d.write(two) }, nil, nil}, ",,two,"},
		"broken and good":      {nil, []func(*classesDir){func(d *classesDir) { d.write(broken) }, nil, nil, func(d *classesDir) { d.write(two) }, nil, nil}, ",!,,,two+,"},
		"broken and as before": {nil, []func(*classesDir){func(d *classesDir) { d.write(broken) }, nil, func(d *classesDir) { d.write(one) }, nil, nil}, ",!,,one+,"},
		"broken the same way":  {nil, []func(*classesDir){func(d *classesDir) { d.write(broken) }, nil, func(d *classesDir) { d.write(broken) }, nil, nil}, ",!,,,"},
		"broken in two ways":   {nil, []func(*classesDir){func(d *classesDir) { d.write(broken) }, nil, func(d *classesDir) { d.write(worse) }, nil, nil}, ",!,,!,"},
		"away and back":        {nil, []func(*classesDir){(*classesDir).remove, nil, func(d *classesDir) { d.write(one) }, nil, nil}, "!,,,+,"},
		"away and another":     {nil, []func(*classesDir){(*classesDir).remove, func(d *classesDir) { d.write(two) }, nil, nil}, "!,,two+,"},
		"a ConfigMap":          {func(d *classesDir) { d.mount(one) }, []func(*classesDir){nil, func(d *classesDir) { d.mount(two) }, nil, nil}, ",,two,"},
		"a broken ConfigMap":   {func(d *classesDir) { d.mount(one) }, []func(*classesDir){func(d *classesDir) { d.mount(worse) }, nil, func(d *classesDir) { d.mount(two) }, nil}, ",!,,two+"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &classesDir{t: t, path: filepath.Join(t.TempDir(), "classes.yaml")}
			if tt.start == nil {
				tt.start = func(d *classesDir) { d.write(one) }
			}
			tt.start(d)
			files, err := (&adminFlags{classes: d.path}).read()
			if err != nil {
				t.Fatal(err)
			}
			var log []string
			next := files.follow(funcr.New(func(_, text string) { log = append(log, text) }, funcr.Options{}))
			var told []string
			for _, happens := range tt.looks {
				if happens != nil {
					happens(d)
				}
				log = nil
				classes, changed := next()
				said := strings.Join(slices.Sorted(maps.Keys(classes)), "+")
				if changed && said == "" {
					said = "none"
				}
				if lines := strings.Join(log, "\n"); strings.Contains(lines, `"error"`) {
					said += "!"
					if !strings.Contains(lines, d.path) {
						t.Errorf("the log does not name the file: %s", lines)
					}
				} else if strings.Contains(lines, "good again") {
					said += "+"
				}
				told = append(told, said)
			}
			if got := strings.Join(told, ","); got != tt.told {
				t.Errorf("the looks tell %q, want %q", got, tt.told)
			}
		})
	}
}

func TestNoClassesToFollow(t *testing.T) {
	if next := new(adminFiles).follow(funcr.New(func(_, text string) { fmt.Println(text) }, funcr.Options{})); next != nil {
		t.Error("without --classes there is something to be asked at each tick")
	}
}
