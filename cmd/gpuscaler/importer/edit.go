package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Edit writes a manifest in which the Deployments have the annotations and the autoscalers are left out. A Deployment that is not in
// it gets a manifest of nothing but its annotations. It returns what was changed, in words. A nil File is an empty one.
func Edit(out io.Writer, f *File, imports []Import) (changes []string, err error) {
	if f == nil {
		f = &File{}
	}
	objects, err := f.objects()
	if err != nil {
		return nil, err
	}
	var text, added bytes.Buffer
	for n := range imports {
		i := &imports[n]
		if len(i.Annotations) == 0 {
			changes = append(changes, fmt.Sprintf("%s stays: nothing is left of it that would scale", i))
			continue
		}
		done, found, err := i.edit(objects)
		if err != nil {
			return nil, err
		}
		changes = append(changes, done...)
		if !found {
			if err := i.minimal(&added); err != nil {
				return nil, err
			}
		}
	}
	if err := f.write(&text); err != nil {
		return nil, err
	}
	text.Write(added.Bytes())
	if err := queriesComment(&text, AllQueries(imports)); err != nil {
		return nil, err
	}
	result := text.Bytes()
	if len(f.documents) == 0 {
		result = bytes.TrimPrefix(result, []byte("---\n"))
	}
	_, err = out.Write(result)
	return changes, err
}

// edit edits the Deployment, if it is found, and takes the autoscaler out.
func (i *Import) edit(objects []*object) (changes []string, found bool, err error) {
	for _, o := range objects {
		if o.Kind == "Deployment" && o.is(i.Deployment, i.Namespace) {
			for _, key := range kept(find(find(o.node, "metadata"), "annotations"), i.Annotations) {
				changes = append(changes, fmt.Sprintf("Deployment %s: its own %s stays", i.Deployment, key))
			}
			removed, err := o.annotate(i.Annotations)
			if err != nil {
				return nil, false, fmt.Errorf("editing the Deployment %s: %w", i.Deployment, err)
			}
			found = true
			changes = append(changes, fmt.Sprintf("Deployment %s: annotated", i.Deployment))
			if removed {
				changes = append(changes, fmt.Sprintf("Deployment %s: spec.replicas left out, as each apply would reset what is scaled", i.Deployment))
			}
			break
		}
	}
	for _, o := range objects {
		if o.isAutoscaler() && o.Kind == i.Kind && o.is(i.Name, i.Namespace) {
			o.remove()
			changes = append(changes, fmt.Sprintf("%s: left out; where it was applied, delete it", i))
		}
	}
	return changes, found, nil
}

// is reports whether an object has a name, in a namespace that one of the two may leave open.
func (o *object) is(name, namespace string) bool {
	return o.Metadata.Name == name && (o.Metadata.Namespace == namespace || o.Metadata.Namespace == "" || namespace == "")
}

// annotate adds annotations and takes spec.replicas out, and reports whether it was there.
func (o *object) annotate(annotations map[string]string) (removed bool, err error) {
	metadata := find(o.node, "metadata")
	node := find(metadata, "annotations")
	switch {
	case metadata == nil || metadata.Kind != yaml.MappingNode:
		return false, errors.New("its metadata are written once for several places: use -o patch")
	case node == nil:
		node = annotationsNode(annotations)
		metadata.Content = append(metadata.Content, mapping("annotations", node).Content...)
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		*node = *annotationsNode(annotations)
	case node.Kind != yaml.MappingNode:
		return false, fmt.Errorf("line %d: its annotations are written once for several places: use -o patch", node.Line)
	default:
		setAll(node, annotations)
	}
	o.edited()
	return drop(find(o.node, "spec"), "replicas"), nil
}

// setAll sets keys of a mapping: those that are there keep their places, others go to the end.
func setAll(node *yaml.Node, annotations map[string]string) {
	for _, key := range ordered(annotations) {
		if value := find(node, key); value != nil {
			value.Kind, value.Tag, value.Value, value.Style = yaml.ScalarNode, "!!str", annotations[key], yaml.DoubleQuotedStyle
			value.Alias, value.Content = nil, nil
			continue
		}
		node.Content = append(node.Content, annotationsNode(map[string]string{key: annotations[key]}).Content...)
	}
}

// drop takes a key out of a mapping.
func drop(node *yaml.Node, key string) bool {
	for i := 0; node != nil && node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			node.Content = append(node.Content[:i:i], node.Content[i+2:]...)
			return true
		}
	}
	return false
}

// minimal writes a Deployment of which nothing but the annotations is known.
func (i *Import) minimal(text *bytes.Buffer) error {
	metadata := mapping("name", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: i.Deployment})
	if i.Namespace != "" {
		metadata.Content = append(metadata.Content, mapping("namespace", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: i.Namespace}).Content...)
	}
	metadata.Content = append(metadata.Content, mapping("annotations", annotationsNode(i.Annotations)).Content...)
	text.WriteString("---\n")
	comment(text, "Only the annotations: kubectl apply --server-side --field-manager gpuscaler-import -f FILE")
	node := mapping("apiVersion", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "apps/v1"})
	node.Content = append(node.Content, mapping("kind", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "Deployment"}).Content...)
	node.Content = append(node.Content, mapping("metadata", metadata).Content...)
	return encode(text, node)
}

// write writes the documents: as they were, where nothing was changed.
func (f *File) write(text *bytes.Buffer) error {
	for _, d := range f.documents {
		switch {
		case !d.changed:
			text.Write(d.text)
			if len(d.text) > 0 && d.text[len(d.text)-1] != '\n' {
				text.WriteByte('\n')
			}
		case d.node.Kind == 0 || emptyList(d.node):
		default:
			if text.Len() > 0 || bytes.HasPrefix(d.text, []byte("---")) {
				text.WriteString("---\n")
			}
			if err := encode(text, d.node); err != nil {
				return err
			}
		}
	}
	return nil
}

// emptyList reports whether a document is a List of which nothing is left.
func emptyList(node *yaml.Node) bool {
	items := find(node.Content[0], "items")
	return items != nil && items.Kind == yaml.SequenceNode && len(items.Content) == 0
}

// kept returns the annotations of ours that a Deployment has already and that stay beside the new ones.
func kept(node *yaml.Node, annotations map[string]string) []string {
	var list []string
	for i := 0; node != nil && i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		if _, replaced := annotations[key]; strings.HasPrefix(key, policy.Prefix) && !replaced {
			list = append(list, key)
		}
	}
	return list
}
