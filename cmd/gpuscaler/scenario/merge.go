package scenario

import "go.yaml.in/yaml/v3"

// pair is a key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// merger collects the pairs of a mapping and of those merged into it.
type merger struct {
	*document
	path  string
	pairs []pair
	// known are the keys of the mappings that have been collected: they win over those of mappings merged in later.
	known map[string]bool
	// seen are the mappings that have been collected: one may be merged into itself.
	seen map[*yaml.Node]bool
}

// entries returns what is in a mapping: its own pairs, one that is given twice also twice, and then those merged into it with <<
// that it has not itself.
func (d *document) entries(path string, n *yaml.Node) []pair {
	m := merger{document: d, path: path, known: map[string]bool{}, seen: map[*yaml.Node]bool{}}
	m.mapping(n)
	return m.pairs
}

// mapping adds the pairs of a mapping, then what is merged into it.
func (m *merger) mapping(n *yaml.Node) {
	if m.seen[n] {
		return
	}
	m.seen[n] = true
	var own []pair
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key, value := n.Content[i], n.Content[i+1]; {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merges = append(merges, value)
		case !m.known[key.Value]:
			own = append(own, pair{key, value})
		}
	}
	for _, p := range own {
		m.known[p.key.Value] = true
	}
	m.pairs = append(m.pairs, own...)
	for _, value := range merges {
		m.merge(value)
	}
}

// merge adds what stands behind <<: a mapping, or a list of mappings.
func (m *merger) merge(value *yaml.Node) {
	const allowed = "a mapping, or a list of mappings"
	value = resolve(value)
	switch value.Kind {
	case yaml.MappingNode:
		m.mapping(value)
		return
	case yaml.SequenceNode:
	default:
		m.wrong(inside(m.path, "<<"), value, allowed)
		return
	}
	for _, element := range value.Content {
		if element = resolve(element); element.Kind != yaml.MappingNode {
			m.wrong(inside(m.path, "<<"), element, allowed)
			continue
		}
		m.mapping(element)
	}
}

// inside is the path of a key in a mapping.
func inside(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
