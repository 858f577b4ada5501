package importer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// Import is what became of one autoscaler.
type Import struct {
	// Kind and Name are those of the autoscaler, Deployment is what it scales. They are in Namespace, which a file may leave open.
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	Deployment string `json:"deployment"`
	// Annotations mean the same. There are none if nothing that could be expressed would scale.
	Annotations map[string]string `json:"annotations"`
	// Queries are those that the Annotations name, to be put into the file of --queries.
	Queries metrics.Queries `json:"-"`
	// Unsupported is what has no equivalent.
	Unsupported []Gap `json:"unsupported"`
	// Notes tell what is the same and yet not quite.
	Notes []string `json:"notes"`
}

// Gap is a field that has no equivalent.
type Gap struct {
	Field  string `json:"field"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

// String tells the Gap in a line.
func (g Gap) String() string {
	if g.Value == "" {
		return fmt.Sprintf("%s: %s", g.Field, g.Reason)
	}
	return fmt.Sprintf("%s: %s: %s", g.Field, g.Value, g.Reason)
}

// String names the autoscaler.
func (i *Import) String() string {
	if i.Namespace == "" {
		return i.Kind + " " + i.Name
	}
	return i.Kind + " " + i.Namespace + "/" + i.Name
}

// translation is an Import in the making.
type translation struct {
	Import
	// origin is the field that an annotation comes from, by its key without the prefix.
	origin map[string]string
	// names are those of the queries of all imports together: an administrator has one file of them.
	names map[string]string
	// workload are the signals that do not come from the Deployment's own pods.
	workload []string
	// activations are those of KEDA's triggers.
	activations []activation
}

func newTranslation(kind, namespace, name string, names map[string]string) *translation {
	return &translation{
		Import: Import{
			Kind: kind, Namespace: namespace, Name: name, Annotations: map[string]string{policy.Prefix + "enabled": "true"},
			Queries: metrics.Queries{}, Unsupported: []Gap{}, Notes: []string{},
		},
		origin: map[string]string{}, names: names,
	}
}

// set adds an annotation and where it comes from.
func (t *translation) set(key, value, field string) {
	t.Annotations[policy.Prefix+key] = value
	t.origin[key] = field
}

// has reports whether an annotation is set.
func (t *translation) has(key string) bool {
	_, ok := t.Annotations[policy.Prefix+key]
	return ok
}

// gap adds something that has no equivalent.
func (t *translation) gap(field string, value any, reason string, args ...any) {
	t.Unsupported = append(t.Unsupported, Gap{Field: field, Value: shown(value), Reason: fmt.Sprintf(reason, args...)})
}

// note adds a remark, once.
func (t *translation) note(text string, args ...any) {
	text = fmt.Sprintf(text, args...)
	if !slices.Contains(t.Notes, text) {
		t.Notes = append(t.Notes, text)
	}
}

// shown writes a value in a line: strings as they are, all else as JSON.
func shown(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	if value == nil {
		return ""
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(text.String())
}

// nothing gives the whole up.
func (t *translation) nothing() {
	t.Annotations, t.Queries, t.Notes = map[string]string{}, metrics.Queries{}, []string{}
}

// finish asks the parser of the annotations. What it refuses becomes a Gap, so that the rest passes; if nothing is left that would
// scale, there are no annotations at all.
func (t *translation) finish() Import {
	for len(t.Annotations) > 0 {
		// What the controller's own flags say matters to no annotation that is made here.
		_, problems := policy.Parse(t.Annotations, policy.Settings{MaxSampleAge: 90 * time.Second, Interval: 5 * time.Second})
		if len(problems) == 0 {
			break
		}
		before := len(t.Annotations)
		for _, p := range problems {
			t.refused(p)
		}
		if len(t.Annotations) == before {
			t.nothing()
		}
	}
	t.dropUnused()
	return t.Import
}

// refused takes an annotation back.
func (t *translation) refused(p policy.Problem) {
	key := strings.TrimPrefix(p.Key, policy.Prefix)
	field := t.origin[key]
	if !t.has(key) || field == "" {
		if key != "target.<signal>" || len(t.Unsupported) == 0 {
			t.gap(p.Key, p.Value, "%s", p.Message)
		}
		return
	}
	delete(t.Annotations, p.Key)
	t.gap(field, p.Value, "as %s it %s", p.Key, p.Message)
}

// dropUnused drops queries that no target and no activation is left for.
func (t *translation) dropUnused() {
	for key, query := range t.Annotations {
		signal, ok := strings.CutPrefix(key, policy.Prefix+"query.")
		if !ok || t.has("target."+signal) || strings.HasPrefix(t.Annotations[policy.Prefix+"activate-on"], signal+" ") {
			continue
		}
		delete(t.Annotations, key)
		delete(t.Queries, query)
	}
}
