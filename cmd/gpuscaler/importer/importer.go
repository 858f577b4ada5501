package importer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"

	"github.com/gpuscaler/gpuscaler/metrics"
)

// Importer translates autoscalers. The names of the queries it makes are unique over all of them.
type Importer struct {
	// Namespace is where objects are that do not say where, empty if that is open.
	Namespace string
	// names are the queries by name, taken the autoscalers by what they scale.
	names, taken map[string]string
}

// versions are the API versions that can be read, by kind.
var versions = map[string][]string{
	hpaKind:  {"autoscaling/v2", "autoscaling/v1", "autoscaling/v2beta2"},
	kedaKind: {"keda.sh/v1alpha1"},
}

// isAutoscaler reports whether an object is of a kind that can be translated, in whatever version.
func (h *head) isAutoscaler() bool {
	group, _, _ := strings.Cut(h.APIVersion, "/")
	return h.Kind == hpaKind && group == "autoscaling" || h.Kind == kedaKind && group == "keda.sh"
}

// errNone says what a file without an autoscaler lacks.
var errNone = errors.New("no HorizontalPodAutoscaler and no ScaledObject is in it: give a file that has one, or hpa/NAME or scaledobject/NAME to read one from the cluster")

// File translates the autoscalers of a manifest.
func (m *Importer) File(f *File) ([]Import, error) {
	objects, err := f.objects()
	if err != nil {
		return nil, err
	}
	var imports []Import
	for _, o := range objects {
		if !o.isAutoscaler() {
			continue
		}
		text, err := o.json()
		if err != nil {
			return nil, err
		}
		done, err := m.Object(text)
		if err != nil {
			return nil, err
		}
		imports = append(imports, done)
	}
	if len(imports) == 0 {
		return nil, errNone
	}
	return imports, nil
}

// Object translates one autoscaler, as JSON.
func (m *Importer) Object(text []byte) (Import, error) {
	var h head
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &h); err != nil {
		return Import{}, fmt.Errorf("reading the object: %w", err)
	}
	if !slices.Contains(versions[h.Kind], h.APIVersion) {
		return Import{}, fmt.Errorf("%s %s is in apiVersion %q: allowed are %s; the API server converts it, as in `kubectl get hpa.v2.autoscaling NAME -o yaml`",
			h.Kind, h.Metadata.Name, h.APIVersion, strings.Join(versions[h.Kind], ", "))
	}
	if err := h.problem(); err != nil {
		return Import{}, err
	}
	if m.names == nil {
		m.names, m.taken = map[string]string{}, map[string]string{}
	}
	namespace := h.Metadata.Namespace
	if namespace == "" {
		namespace = m.Namespace
	}
	t := newTranslation(h.Kind, namespace, h.Metadata.Name, m.names)
	if err := t.read(text); err != nil {
		return Import{}, fmt.Errorf("reading %s: %w", &t.Import, err)
	}
	m.claim(t)
	return t.finish(), nil
}

// claim refuses a second autoscaler of the same Deployment.
func (m *Importer) claim(t *translation) {
	if len(t.Annotations) == 0 {
		return
	}
	at := t.Namespace + "/" + t.Deployment
	if other, taken := m.taken[at]; taken {
		t.gap("spec.scaleTargetRef", t.Deployment, "%s scales the same Deployment, and only one policy is possible: put them together by hand", other)
		t.nothing()
		return
	}
	m.taken[at] = t.String()
}

// problem says why an object cannot be one of a cluster: its names go into commands.
func (h *head) problem() error {
	for _, name := range []string{h.Metadata.Name, h.Metadata.Namespace} {
		if bad := validation.IsDNS1123Subdomain(name); len(bad) > 0 && (name != "" || h.Metadata.Name == "") {
			return fmt.Errorf("%s has the name %q in namespace %q: %s", h.Kind, h.Metadata.Name, h.Metadata.Namespace, bad[0])
		}
	}
	return nil
}

// read reads and translates an object of one of the kinds.
func (t *translation) read(text []byte) error {
	if t.Kind == kedaKind {
		var o scaledObject
		unknown, err := json.UnmarshalStrict(text, &o)
		if err == nil {
			t.translateKEDA(&o)
			t.unknown(text, unknown)
		}
		return err
	}
	var o hpa
	unknown, err := json.UnmarshalStrict(text, &o)
	if err == nil {
		t.translateHPA(&o)
		t.unknown(text, unknown)
	}
	return err
}

// unknown lists fields that are not known here.
func (t *translation) unknown(text []byte, problems []error) {
	for _, p := range problems {
		field := p.Error()
		if f := json.FieldError(nil); errors.As(p, &f) {
			field = f.FieldPath()
		}
		t.gap(field, valueAt(text, field), "is not a known field of a %s", t.Kind)
	}
}

// valueAt returns the value of a field by its path, nil if it is not found.
func valueAt(text []byte, path string) any {
	var value any
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &value); err != nil {
		return nil
	}
	path = strings.NewReplacer("[", ".", "]", "").Replace(path)
	for _, step := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// AllQueries returns the queries of several imports together: the file of --queries.
func AllQueries(imports []Import) metrics.Queries {
	all := metrics.Queries{}
	for i := range imports {
		maps.Copy(all, imports[i].Queries)
	}
	return all
}
