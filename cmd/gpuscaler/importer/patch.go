package importer

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// Patch writes the commands that would annotate the Deployments, to be read and then run by a person.
func Patch(out io.Writer, imports []Import) error {
	var text bytes.Buffer
	for n := range imports {
		i := &imports[n]
		if n > 0 {
			text.WriteByte('\n')
		}
		if len(i.Annotations) == 0 {
			comment(&text, fmt.Sprintf("%s: nothing of it that scales has an equivalent.", i))
			i.remarks(&text)
			continue
		}
		comment(&text, fmt.Sprintf("%s, as annotations of the Deployment %s.", i, i.Deployment))
		i.remarks(&text)
		fmt.Fprintf(&text, "kubectl patch deployment %s%s --type merge --patch-file /dev/stdin <<'EOF'\n", i.Deployment, i.inNamespace())
		if err := encode(&text, mapping("metadata", mapping("annotations", annotationsNode(i.Annotations)))); err != nil {
			return err
		}
		text.WriteString("EOF\n")
		comment(&text, fmt.Sprintf("Then, as nothing is written while another autoscaler has the Deployment:\n  kubectl delete %s %s%s", i.resource(), i.Name, i.inNamespace()))
	}
	if err := queriesComment(&text, AllQueries(imports)); err != nil {
		return err
	}
	_, err := text.WriteTo(out)
	return err
}

// remarks writes what has no equivalent, and the notes, as comments.
func (i *Import) remarks(text *bytes.Buffer) {
	if len(i.Unsupported) > 0 {
		comment(text, "Without an equivalent:")
	}
	for _, g := range i.Unsupported {
		comment(text, "  "+oneLine(g.String()))
	}
	if len(i.Notes) > 0 {
		comment(text, "To know:")
	}
	for _, note := range i.Notes {
		comment(text, "  "+oneLine(note))
	}
}

// Told returns, a line each, what has no equivalent and what there is to know.
func (i *Import) Told() []string {
	var lines []string
	for _, g := range i.Unsupported {
		lines = append(lines, fmt.Sprintf("%s: no equivalent: %s", i, oneLine(g.String())))
	}
	for _, note := range i.Notes {
		lines = append(lines, fmt.Sprintf("%s: note: %s", i, oneLine(note)))
	}
	return lines
}

// queriesComment writes the file of --queries as comments.
func queriesComment(text *bytes.Buffer, queries metrics.Queries) error {
	if len(queries) == 0 {
		return nil
	}
	file, err := QueriesFile(queries)
	if err != nil {
		return err
	}
	text.WriteByte('\n')
	comment(text, "The queries that the annotations name, for the file of `gpuscaler run --queries`:")
	comment(text, strings.TrimSuffix(string(file), "\n"))
	return nil
}

// QueriesFile writes queries as --queries reads them.
func QueriesFile(queries metrics.Queries) ([]byte, error) {
	var text bytes.Buffer
	var node yaml.Node
	if err := node.Encode(map[string]metrics.Queries{"queries": queries}); err != nil {
		return nil, err
	}
	err := encode(&text, &node)
	return text.Bytes(), err
}

// comment writes lines as comments.
func comment(text *bytes.Buffer, lines string) {
	for line := range strings.SplitSeq(lines, "\n") {
		fmt.Fprintf(text, "%s\n", strings.TrimRight("# "+line, " "))
	}
}

// oneLine makes line breaks and what else is not shown blanks, so that nothing gets out of a comment.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

// resource is what kubectl calls the kind.
func (i *Import) resource() string {
	if i.Kind == kedaKind {
		return "scaledobject"
	}
	return "hpa"
}

func (i *Import) inNamespace() string {
	if i.Namespace == "" {
		return ""
	}
	return " -n " + i.Namespace
}

// encode writes a node as YAML.
func encode(out io.Writer, node *yaml.Node) error {
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return err
	}
	return encoder.Close()
}

// mapping makes a mapping of one key.
func mapping(key string, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value}}
}

// annotationsNode makes a mapping of annotations.
func annotationsNode(annotations map[string]string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, key := range ordered(annotations) {
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, quotedNode(annotations[key]))
	}
	return node
}

func quotedNode(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: yaml.DoubleQuotedStyle}
}

// ordered returns the keys in the order of the documentation.
func ordered(annotations map[string]string) []string {
	table := policy.Keys()
	rank := func(key string) int {
		name := strings.TrimPrefix(key, policy.Prefix)
		return slices.IndexFunc(table, func(k policy.Key) bool {
			stem, perSignal := strings.CutSuffix(k.Name, "<signal>")
			return k.Name == name || perSignal && strings.HasPrefix(name, stem)
		})
	}
	keys := make([]string, 0, len(annotations))
	for key := range annotations {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return keys
}
