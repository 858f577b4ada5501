package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// adminFlags name the files that an administrator writes.
type adminFlags struct {
	classes, queries string
}

func (a *adminFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&a.classes, "classes", "", "`file` that defines classes: sets of annotations that a Deployment takes over by naming one")
	flags.StringVar(&a.queries, "queries", "", "`file` that defines the queries which query.<signal> annotations name")
}

// adminFiles are what the files say.
type adminFiles struct {
	classes map[string]map[string]string
	// classesFile is where they are from, empty for none, and classesText what it says.
	classesFile string
	classesText []byte
	// queries are nil if no file defines any.
	queries metrics.Queries
}

// read reads the files.
func (a *adminFlags) read() (adminFiles, error) {
	var files adminFiles
	if a.classes != "" {
		text, err := os.ReadFile(a.classes)
		if err != nil {
			return files, fmt.Errorf("reading --classes: %w", err)
		}
		if files.classes, err = parseClasses(text); err != nil {
			return files, fmt.Errorf("reading --classes %s: %w", a.classes, err)
		}
		files.classesFile, files.classesText = a.classes, text
	}
	if a.queries != "" {
		text, err := os.ReadFile(a.queries)
		if err != nil {
			return files, fmt.Errorf("reading --queries: %w", err)
		}
		if files.queries, err = metrics.ParseQueries(text); err != nil {
			return files, fmt.Errorf("reading --queries %s: %w", a.queries, err)
		}
	}
	return files, nil
}

// settings are what annotations are parsed with by a controller: only queries that a file defines can be named.
func (f *adminFiles) settings(interval, maxSampleAge time.Duration) policy.Settings {
	settings := policy.Settings{Interval: interval, MaxSampleAge: maxSampleAge, Classes: f.classes, Queries: map[string]bool{}}
	for name := range f.queries {
		settings.Queries[name] = true
	}
	return settings
}

// follow returns what tells a controller of classes that change, nil if no file defines any.
func (f *adminFiles) follow(log logr.Logger) func() (map[string]map[string]string, bool) {
	if f.classesFile == "" {
		return nil
	}
	return (&classesFile{path: f.classesFile, log: log, text: f.classesText}).next
}

// settings reads the files and returns what annotations are parsed with away from a cluster: without --queries any name of
// a query is taken.
func (a *adminFlags) settings(interval, maxSampleAge time.Duration) (policy.Settings, error) {
	files, err := a.read()
	if err != nil {
		return policy.Settings{}, err
	}
	settings := files.settings(interval, maxSampleAge)
	if a.queries == "" {
		settings.Queries = nil
	}
	return settings, nil
}

// classFile is the format of --classes.
type classFile struct {
	// Classes are sets of annotations without their prefix, by the name of the class. Numbers need no quotes here.
	Classes map[string]map[string]scalar `yaml:"classes"`
}

// scalar is a YAML scalar as it is written.
type scalar string

// UnmarshalYAML takes any scalar.
func (s *scalar) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return fmt.Errorf("line %d: a value is wanted, as in an annotation", node.Line)
	}
	*s = scalar(node.Value)
	return nil
}

// parseClasses reads classes and reports everything that is wrong with them.
func parseClasses(text []byte) (map[string]map[string]string, error) {
	var file classFile
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	classes := map[string]map[string]string{}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(file.Classes)) {
		class := map[string]string{}
		for key, value := range file.Classes[name] {
			class[key] = string(value)
		}
		classes[name] = class
		for _, p := range checkClass(class) {
			problems = append(problems, fmt.Errorf("class %s: %w", name, p))
		}
	}
	return classes, errors.Join(problems...)
}

// checkClass returns what is wrong with the keys of a class by themselves. What a class leaves out is the Deployment's
// to say.
func checkClass(class map[string]string) []error {
	var problems []error
	annotations := map[string]string{}
	for key, value := range class {
		annotations[policy.Prefix+key] = value
	}
	for _, key := range []string{"class", "enabled"} {
		if _, given := class[key]; given {
			problems = append(problems, fmt.Errorf("%s is for the Deployment to say, not for a class", key))
			delete(annotations, policy.Prefix+key)
		}
	}
	_, found := policy.Parse(annotations, policy.Settings{})
	for _, p := range found {
		if _, given := annotations[p.Key]; given {
			problems = append(problems, p)
		}
	}
	return problems
}
