package admission

import (
	"maps"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// denied is what the API server puts before the messages.
const denied = "ValidatingAdmissionPolicy 'gpuscaler-annotations' with binding 'gpuscaler-annotations' denied request: "

// cases are valid annotations with some changed; an empty value removes the key.
var cases = []struct {
	change map[string]string
	want   string // all that is told, empty if nothing is refused
}{
	{nil, ""},
	{map[string]string{"max-replica": "4"}, `max-replica: "4" is not a known key: the annotation table in the README lists them all`},
	{map[string]string{"enable": "true", "enabled": ""}, `enable: "true" is not a known key: the annotation table in the README lists them all`},
	{map[string]string{"min-replicas": "1.5"}, `min-replicas: "1.5" is not allowed: give a whole number from 0 to 2147483647`},
	{map[string]string{"min-replicas": "11"}, `min-replicas: "11" min-replicas 11 is above max-replicas 10: min-replicas must not be above max-replicas`},
	{map[string]string{"min-replicas": "11", "enabled": "false"}, ""},
	{map[string]string{"max-replicas": ""}, `max-replicas: is required: a whole number of at least 1`},
	{map[string]string{"max-replicas": "", "class": "ours"}, ""},
}

func TestCases(t *testing.T) {
	for _, c := range cases {
		annotations := map[string]string{"enabled": "true", "max-replicas": "10", "target.gpu-utilization": "75"}
		maps.Copy(annotations, c.change)
		maps.DeleteFunc(annotations, func(_, v string) bool { return v == "" })
		err := refused(t.Context(), ours(annotations))
		if err != nil && !apierrors.IsInvalid(err) {
			t.Fatal(err)
		}
		if got := told(err); got != c.want {
			t.Errorf("%v\ngot  %s\nwant %s", c.change, got, c.want)
		}
	}
}

// told is what the policy says, without the first prefix, empty if it admits.
func told(err error) string {
	if err == nil {
		return ""
	}
	_, text, ok := strings.Cut(err.Error(), denied)
	if !ok {
		return "not by the policy: " + err.Error()
	}
	return strings.TrimPrefix(text, "gpuscaler.io/")
}
