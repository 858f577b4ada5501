package metrics

import "fmt"

// Match narrows a source to the series with one value of one label. The zero value narrows nothing.
type Match struct{ Label, Value string }

// String is the matcher in PromQL, such as reason="capacity"; empty if it narrows nothing.
func (m Match) String() string {
	if m.Label == "" {
		return ""
	}
	return fmt.Sprintf("%s=%q", m.Label, m.Value)
}

// matches reports whether a series with these labels is meant.
func (m Match) matches(labels []label) bool {
	return m.Label == "" || labelValue(labels, m.Label) == m.Value
}
