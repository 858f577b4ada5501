package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// jsonDocuments reads a stream of JSON values into the nodes that the same YAML would have. YAML is nearly a superset of
// JSON; tabs between tokens and escaped surrogates are among what it lacks.
func jsonDocuments(text []byte) ([]document, *syntaxError) {
	r := jsonReader{text: text, decoder: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.decoder.UseNumber()
	var found []document
	for {
		node, err := r.value(0)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			r.advance(r.decoder.InputOffset())
			return found, &syntaxError{line: r.line, message: "no valid JSON: " + err.Error()}
		}
		found = append(found, document{node: node})
	}
}

// maxDepth is how deep values may be nested.
const maxDepth = 1000

// jsonReader makes nodes of tokens.
type jsonReader struct {
	text    []byte
	decoder *json.Decoder
	at      int64 // how far lines have been counted
	line    int   // at at
}

// advance counts lines up to an offset.
func (r *jsonReader) advance(to int64) {
	to = min(to, int64(len(r.text)))
	r.line += bytes.Count(r.text[r.at:to], []byte("\n"))
	r.at = to
}

// value reads a value of any kind. At the end of the stream it returns io.EOF.
func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := r.decoder.Token()
	if err != nil {
		if depth > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	r.advance(r.decoder.InputOffset())
	node := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch v := token.(type) {
	case json.Delim:
		return node, r.inside(node, v, depth)
	case string:
		node.Tag, node.Value, node.Style = "!!str", v, yaml.DoubleQuotedStyle
	case json.Number:
		node.Tag, node.Value = "!!float", v.String()
	case bool:
		node.Tag, node.Value = "!!bool", fmt.Sprint(v)
	default:
		node.Tag, node.Value = "!!null", "null"
	}
	return node, nil
}

// inside reads what an array or object holds.
func (r *jsonReader) inside(node *yaml.Node, open json.Delim, depth int) error {
	node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		node.Kind, node.Tag = yaml.MappingNode, "!!map"
	}
	for r.decoder.More() {
		element, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		node.Content = append(node.Content, element)
	}
	_, err := r.decoder.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
