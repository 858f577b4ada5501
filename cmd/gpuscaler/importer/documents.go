package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is a manifest: a stream of documents.
type File struct{ documents []*document }

// document is a document as it is written and as it is read.
type document struct {
	text []byte
	node *yaml.Node
	// changed says that the text no longer counts.
	changed bool
}

// maxNesting is how deep Lists may be nested in Lists.
const maxNesting = 8

// object is a Kubernetes object in a File.
type object struct {
	head
	node *yaml.Node
	// remove takes the object out of the File; edited tells that it was changed.
	remove, edited func()
}

// head is what all objects have.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

// Read reads a manifest.
func Read(text []byte) (*File, error) {
	f := &File{}
	lines := 0
	for _, part := range split(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		var node, more yaml.Node
		decoder := yaml.NewDecoder(bytes.NewReader(part))
		err := decoder.Decode(&node)
		if err == nil && !errors.Is(decoder.Decode(&more), io.EOF) {
			err = errors.New("there is more behind the end of the document: separate documents by lines of ---")
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the document that begins on line %d: %w", lines+1, err)
		}
		f.documents = append(f.documents, &document{text: part, node: &node})
		lines += bytes.Count(part, []byte("\n"))
	}
	return f, nil
}

// split cuts a stream before each line that begins a document.
func split(text []byte) [][]byte {
	var parts [][]byte
	start, at := 0, 0
	for line := range bytes.Lines(text) {
		rest, marker := bytes.CutPrefix(line, []byte("---"))
		if at > start && marker && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0) {
			parts = append(parts, text[start:at])
			start = at
		}
		at += len(line)
	}
	return append(parts, text[start:])
}

// objects returns the objects, those in Lists one by one.
func (f *File) objects() ([]*object, error) {
	var found []*object
	for _, d := range f.documents {
		if len(d.node.Content) == 0 {
			continue
		}
		edited := func() { d.changed = true }
		remove := func() { d.node, d.changed = &yaml.Node{}, true }
		more, err := collect(d.node.Content[0], remove, edited, 0)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// collect returns the object of a node, or those of a List.
func collect(node *yaml.Node, remove, edited func(), depth int) ([]*object, error) {
	if node.Kind != yaml.MappingNode {
		return nil, nil
	}
	if items := find(node, "items"); items != nil && items.Kind == yaml.SequenceNode && depth < maxNesting {
		var found []*object
		for _, element := range items.Content {
			out := func() {
				for i, e := range items.Content {
					if e == element {
						items.Content = append(items.Content[:i:i], items.Content[i+1:]...)
						break
					}
				}
				edited()
			}
			more, err := collect(element, out, edited, depth+1)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
		return found, nil
	}
	o := &object{node: node, remove: remove, edited: edited}
	text, err := o.json()
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", node.Line, err)
	}
	// What is no Kubernetes object is of another kind and looked at no further.
	_ = json.Unmarshal(text, &o.head)
	return []*object{o}, nil
}

// json returns the object as JSON.
func (o *object) json() ([]byte, error) {
	var value any
	if err := o.node.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// find returns the value of a key, nil if there is none.
func find(node *yaml.Node, key string) *yaml.Node {
	for i := 0; node != nil && node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
