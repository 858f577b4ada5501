package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/importer"
)

// importFormat is the value of --output of import.
type importFormat string

// The output formats of import, beside JSON and YAML.
const (
	patchOutput    importFormat = "patch"
	manifestOutput importFormat = "manifest"
)

// String returns the format.
func (f *importFormat) String() string { return string(*f) }

// Type names the kind of value in the help.
func (f *importFormat) Type() string { return "format" }

// Set takes one of the formats.
func (f *importFormat) Set(value string) error { return oneOf((*string)(f), value, importFormats...) }

var importFormats = []string{string(patchOutput), string(manifestOutput), string(jsonOutput), string(yamlOutput)}

// importOptions are what the flags and arguments of import say.
type importOptions struct {
	output importFormat
	strict bool
	// file is a manifest, - for standard input; kind and name are an object of the cluster. One of the two is given.
	file       string
	kind, name string
}

func newImportCommand(g *globals) *cobra.Command {
	o := importOptions{output: patchOutput}
	cmd := &cobra.Command{
		Use:   "import FILE|-|hpa/NAME|scaledobject/NAME",
		Short: "Translate an HPA or a KEDA ScaledObject into annotations",
		Example: `  gpuscaler import hpa/llm -n prod                     # the kubectl command that would annotate
  gpuscaler import scaledobject/llm -n prod -o yaml    # annotations, and what has no equivalent
  gpuscaler import llm.yaml -o manifest > new.yaml     # the manifest without its HPA`,
		Long: `Translates HorizontalPodAutoscalers and KEDA's ScaledObjects into the annotations that mean the
same. Nothing is applied: patch prints a kubectl command, manifest the manifest with its
Deployment annotated, the autoscaler left out and spec.replicas taken away.

What has no equivalent is told on stderr, with its field, its value and the reason. The exit
code is 0 as long as something is left that scales, with --strict only if nothing was lost.
Read rights are enough.`,
		Args: func(_ *cobra.Command, args []string) error { return o.source(args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, g)
		},
	}
	cmd.Flags().VarP(&o.output, "output", "o", "output format: "+strings.Join(importFormats, ", "))
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit with 1 if anything has no equivalent")
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(importFormats, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder))
	return cmd
}

// source reads the argument. A file of that very name goes before an object of the cluster.
func (o *importOptions) source(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%d things to import: give one file, - for standard input, hpa/NAME or scaledobject/NAME", len(args))
	}
	kind, name, found := strings.Cut(args[0], "/")
	kind, known := importKinds[strings.ToLower(kind)]
	if _, err := os.Stat(args[0]); !found || !known || err == nil {
		o.file = args[0]
		return nil
	}
	if name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("%q names no object: write hpa/NAME or scaledobject/NAME", args[0])
	}
	o.kind, o.name = kind, name
	return nil
}

// importKinds are kubectl's spellings of what can be imported, and the resources.
var importKinds = map[string]string{
	"hpa": hpas, "horizontalpodautoscaler": hpas, "horizontalpodautoscalers": hpas, "horizontalpodautoscalers.autoscaling": hpas, "hpa.autoscaling": hpas,
	"scaledobject": scaledObjects, "scaledobjects": scaledObjects, "so": scaledObjects, "scaledobject.keda.sh": scaledObjects, "scaledobjects.keda.sh": scaledObjects,
}

// run translates and prints.
func (o *importOptions) run(cmd *cobra.Command, g *globals) error {
	var file *importer.File
	var imports []importer.Import
	var err error
	if o.file != "" {
		file, imports, err = o.fromFile(cmd.InOrStdin(), *g.kube.Namespace)
	} else {
		imports, err = o.fromCluster(cmd.Context(), g)
	}
	if err != nil {
		return err
	}
	out, errOut := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := o.print(out, errOut, file, imports); err != nil {
		return err
	}
	return o.tell(errOut, imports)
}

// fromFile translates what is in a manifest.
func (o *importOptions) fromFile(in io.Reader, namespace string) (*importer.File, []importer.Import, error) {
	name := "standard input"
	if o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the manifest: %w; to read from the cluster, write hpa/NAME or scaledobject/NAME", err)
		}
		defer f.Close()
		in, name = f, o.file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxManifest+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxManifest {
		return nil, nil, fmt.Errorf("reading %s: it is larger than the %d MiB that are allowed", name, maxManifest>>20)
	}
	file, err := importer.Read(text)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	translator := importer.Importer{Namespace: namespace}
	imports, err := translator.File(file)
	if err != nil {
		return nil, nil, fmt.Errorf("importing %s: %w", name, err)
	}
	return file, imports, nil
}

// importReport is one Import as it is printed for programs.
type importReport struct {
	importer.Import
	// Queries are what belongs into the file of --queries, by name.
	Queries map[string]string `json:"queries"`
}

// print prints what was translated.
func (o *importOptions) print(out, errOut io.Writer, file *importer.File, imports []importer.Import) error {
	switch o.output {
	case patchOutput:
		return importer.Patch(out, imports)
	case manifestOutput:
		changes, err := importer.Edit(out, file, imports)
		for _, change := range changes {
			fmt.Fprintln(errOut, change)
		}
		return err
	}
	reports := make([]importReport, len(imports))
	for i := range imports {
		reports[i] = importReport{Import: imports[i], Queries: map[string]string{}}
		for name, query := range imports[i].Queries {
			reports[i].Queries[name] = query.Query
		}
	}
	return printValue(out, outputFormat(o.output), map[string]any{"imports": reports})
}

// tell tells on errOut what has no equivalent, and returns an error if that is more than is allowed.
func (o *importOptions) tell(errOut io.Writer, imports []importer.Import) error {
	gaps := 0
	var empty []error
	for n := range imports {
		i := &imports[n]
		gaps += len(i.Unsupported)
		for _, line := range i.Told() {
			fmt.Fprintln(errOut, line)
		}
		if len(i.Annotations) == 0 {
			empty = append(empty, fmt.Errorf("%s: nothing of it that scales has an equivalent", i))
		}
	}
	if len(empty) > 0 {
		return errors.Join(empty...)
	}
	if o.strict && gaps > 0 {
		return fmt.Errorf("%s without an equivalent: without --strict that is no error", count(gaps, "field"))
	}
	return nil
}
