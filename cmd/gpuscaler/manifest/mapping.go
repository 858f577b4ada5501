package manifest

import (
	"go.yaml.in/yaml/v3"
	kubernetesyaml "sigs.k8s.io/yaml"
)

// entry is a key of a mapping with its value.
type entry struct{ key, value *yaml.Node }

// follow returns the node that an alias stands for.
func follow(node *yaml.Node) *yaml.Node {
	for range maxDepth {
		switch {
		case node == nil:
			return nil
		case node.Kind == yaml.AliasNode:
			node = node.Alias
		case node.Kind == yaml.DocumentNode && len(node.Content) == 1:
			node = node.Content[0]
		default:
			return node
		}
	}
	return nil
}

// entries returns what is in a mapping: its own keys, one that is given twice also twice, and then those merged into it
// that it has not itself.
func entries(node *yaml.Node) []entry {
	node = follow(node)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	m := merger{seen: map[*yaml.Node]bool{}, known: map[string]bool{}}
	m.mapping(node)
	return m.list
}

// merger collects the entries of mappings that are merged into one.
type merger struct {
	list []entry
	// seen are the mappings that have been collected: one may be merged into itself.
	seen map[*yaml.Node]bool
	// known are the keys of the mappings that have been collected: they win over those of mappings merged in later.
	known map[string]bool
}

// mapping adds the entries of a mapping, then what is merged into it.
func (m *merger) mapping(node *yaml.Node) {
	if m.seen[node] {
		return
	}
	m.seen[node] = true
	var own []entry
	var merges []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := follow(node.Content[i]), follow(node.Content[i+1])
		switch {
		case key == nil || key.Kind != yaml.ScalarNode:
		case key.Tag == "!!merge":
			merges = append(merges, value)
		case !m.known[key.Value]:
			own = append(own, entry{key, value})
		}
	}
	for _, e := range own {
		m.known[e.key.Value] = true
	}
	m.list = append(m.list, own...)
	for _, value := range merges {
		m.merge(value)
	}
}

// merge adds what stands behind <<: a mapping, or a list of mappings.
func (m *merger) merge(value *yaml.Node) {
	switch {
	case value == nil:
	case value.Kind == yaml.MappingNode:
		m.mapping(value)
	case value.Kind == yaml.SequenceNode:
		for _, element := range value.Content {
			if element = follow(element); element != nil && element.Kind == yaml.MappingNode {
				m.mapping(element)
			}
		}
	}
}

// find returns the entry of a key; its nodes are nil if there is none.
func find(node *yaml.Node, key string) entry {
	for _, e := range entries(node) {
		if e.key.Value == key {
			return e
		}
	}
	return entry{}
}

// text returns a scalar as it is written, empty if it is none.
func text(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return ""
	}
	return node.Value
}

// notString tells what a value is that is not a string, empty if it is one. Kubernetes reads YAML 1.1, where more is no
// string than in YAML 1.2: yes, on, 1_000 and 12:30:00 among it. So its own reader is asked.
func notString(node *yaml.Node) string {
	switch {
	case node == nil:
		return "nothing"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind != yaml.ScalarNode:
		return "no scalar"
	case node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 && node.Style&yaml.TaggedStyle == 0:
		return ""
	case node.Style&yaml.TaggedStyle != 0:
		return kindOfTag(node.ShortTag())
	}
	var value any
	if err := kubernetesyaml.Unmarshal([]byte(node.Value), &value); err != nil {
		return kindOfTag(node.ShortTag())
	}
	switch value.(type) {
	case bool:
		return "a boolean"
	case nil:
		return "null"
	case float64:
		return "a number"
	}
	return ""
}

// kindOfTag tells in words what a YAML tag means, empty for strings.
func kindOfTag(tag string) string {
	switch tag {
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "null"
	}
	return ""
}
