package controller

import (
	"cmp"
	"slices"
	"strings"
)

// packed is how many objects are moved together: few enough that one that stays holds little memory for those that have gone.
const packed = 64

// packer makes a function that moves the objects of a list together in memory, by namespace and name, with their texts. They were made
// one by one among what decoding leaves behind, a hundred times as much: each would keep a page of that from being given back.
func packer[O any, T interface {
	*O
	object
}](texts func(*O) []*string) func([]T) {
	return func(list []T) {
		slices.SortFunc(list, func(a, b T) int {
			x, y := a.key(), b.key()
			return cmp.Or(cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.name, y.name))
		})
		for chunk := range slices.Chunk(list, packed) {
			objects := make([]O, len(chunk))
			for i := range chunk {
				objects[i] = *chunk[i]
				chunk[i] = &objects[i]
			}
			packTexts(objects, texts)
		}
	}
}

// packTexts moves texts of objects into one. Texts that follow each other and are equal are one.
func packTexts[O any](objects []O, texts func(*O) []*string) {
	var all strings.Builder
	for pass := range 2 { // the first one finds the size: while it stays within that, a Builder does not move what it has
		size, last := 0, []string(nil)
		for i := range objects {
			list := texts(&objects[i])
			if last == nil {
				last = make([]string, len(list))
			}
			for k, text := range list {
				if *text == last[k] {
					*text = last[k]
					continue
				}
				if pass == 1 {
					all.WriteString(*text)
					*text = all.String()[size:]
				}
				size, last[k] = size+len(*text), *text
			}
		}
		if pass == 0 {
			all.Grow(size)
		}
	}
}
