package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxKeys and maxSize bound how many annotations of ours one Deployment may have, and how long keys and values may be together, in
// bytes. It is far more than any needs. The API server takes 256 KiB of them: ten thousand such Deployments of one tenant would fill
// the controller's memory, and the log.
const (
	maxKeys = 100
	maxSize = 16 << 10
)

// Ours returns a Deployment's annotations under Prefix. Of too many it returns as much as it takes for Parse to refuse them.
func Ours(annotations map[string]string) map[string]string {
	ours := make(map[string]string)
	for k, v := range annotations {
		if strings.HasPrefix(k, Prefix) {
			ours[k] = v
		}
	}
	if excess(ours) == "" {
		return ours
	}
	some, size := make(map[string]string), 0
	for _, k := range slices.Sorted(maps.Keys(ours)) {
		v := ours[k][:min(len(ours[k]), maxSize)]
		some[strings.Clone(k)] = strings.Clone(v) // the whole can be forgotten
		if size += len(k) + len(v); size > maxSize || len(some) > maxKeys {
			break
		}
	}
	return some
}

// excess says that there are too many annotations or that they are too long, empty if they can be read.
func excess(ours map[string]string) string {
	size, longest := 0, ""
	for _, k := range slices.Sorted(maps.Keys(ours)) {
		size += len(k) + len(ours[k])
		if longest == "" || len(ours[k]) > len(ours[longest]) {
			longest = k
		}
	}
	if len(ours) <= maxKeys && size <= maxSize {
		return ""
	}
	return fmt.Sprintf("cannot be obeyed: the annotations under %s are more than %d, or over %d bytes long with their keys, of which %s is the longest; remove what means nothing",
		Prefix, maxKeys, maxSize, longest[:min(len(longest), 100)])
}

// First returns the first problems, and a last one that tells how many more there are, if there are more than that many.
func (p Problems) First(n int) Problems {
	if len(p) <= n {
		return p
	}
	return append(slices.Clone(p[:n]), Problem{Key: Prefix + "*", Message: fmt.Sprintf("%d more problems; gpuscaler check lists them all", len(p)-n)})
}
