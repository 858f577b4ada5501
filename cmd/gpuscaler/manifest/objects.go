package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gpuscaler/gpuscaler/policy"
)

// object is a Kubernetes object in a manifest.
type object struct {
	kind, namespace, name string
	// line is where it begins, annotationsLine where its annotations do, or what they would stand in.
	line, annotationsLine int
	annotations           []annotation
	// misplaced are keys of ours that are where nothing reads them.
	misplaced []misplaced
	// replicas is spec.replicas, and the line of it; 0 if it is not given, or if the object comes from a cluster, where
	// it always is.
	replicas     string
	replicasLine int
}

// annotation is an annotation as it is written.
type annotation struct {
	key, value string
	line       int
	// kind is what the value is if it is not a string.
	kind string
	// before is the line where the same key was given before, 0 if it was not.
	before int
}

// misplaced is a key of ours in a wrong place.
type misplaced struct {
	key, place string
	line       int
}

// maxNesting is how deep Lists may be nested in Lists.
const maxNesting = 8

// objects returns the Kubernetes objects of a document, those in Lists one by one.
func objects(d document) []object {
	var found []object
	seen := map[*yaml.Node]bool{}
	var collect func(node *yaml.Node, depth int)
	collect = func(node *yaml.Node, depth int) {
		node = follow(node)
		if node == nil || depth > maxNesting || seen[node] {
			return
		}
		seen[node] = true
		if node.Kind == yaml.SequenceNode {
			for _, element := range node.Content {
				collect(element, depth+1)
			}
			return
		}
		kind := text(find(node, "kind").value)
		if items := find(node, "items").value; items != nil && (kind == "" || strings.HasSuffix(kind, "List")) {
			collect(items, depth+1)
			return
		}
		if kind != "" {
			found = append(found, readObject(node, kind, d.offset))
		}
	}
	collect(d.node, 0)
	return found
}

// readObject reads what matters of an object.
func readObject(node *yaml.Node, kind string, offset int) object {
	metadata := find(node, "metadata")
	spec := find(node, "spec").value
	o := object{
		kind:      kind,
		namespace: text(find(metadata.value, "namespace").value),
		name:      text(find(metadata.value, "name").value),
		line:      node.Line + offset,
	}
	if o.name == "" {
		o.name = text(find(metadata.value, "generateName").value)
	}
	annotations := find(metadata.value, "annotations")
	o.annotationsLine = o.line
	for _, key := range []*yaml.Node{metadata.key, annotations.key} {
		if key != nil {
			o.annotationsLine = key.Line + offset
		}
	}
	o.annotations = readAnnotations(annotations.value, offset)
	live := find(metadata.value, "uid").key != nil
	if replicas := find(spec, "replicas"); !live && replicas.key != nil && text(replicas.value) != "" {
		o.replicas, o.replicasLine = replicas.value.Value, replicas.key.Line+offset
	}
	template := find(find(spec, "template").value, "metadata").value
	o.misplace(find(metadata.value, "labels").value, "the labels", offset)
	o.misplace(find(template, "annotations").value, "the annotations of the pod template", offset)
	return o
}

// readAnnotations reads all annotations, ours and others.
func readAnnotations(node *yaml.Node, offset int) []annotation {
	var list []annotation
	given := map[string]int{}
	for _, e := range entries(node) {
		a := annotation{key: e.key.Value, value: text(e.value), line: e.key.Line + offset, kind: notString(e.value), before: given[e.key.Value]}
		if a.before == 0 {
			given[a.key] = a.line
		}
		list = append(list, a)
	}
	return list
}

// misplace notes keys of ours in a mapping where nothing reads them.
func (o *object) misplace(node *yaml.Node, place string, offset int) {
	for _, e := range entries(node) {
		if strings.HasPrefix(e.key.Value, policy.Prefix) {
			o.misplaced = append(o.misplaced, misplaced{key: e.key.Value, place: place, line: e.key.Line + offset})
		}
	}
}

// annotated reports whether any annotation is ours.
func (o *object) annotated() bool {
	for i := range o.annotations {
		if o.annotations[i].ours() {
			return true
		}
	}
	return false
}

// ours reports whether the annotation has our prefix.
func (a *annotation) ours() bool { return strings.HasPrefix(a.key, policy.Prefix) }
