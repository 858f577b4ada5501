package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"k8s.io/apimachinery/pkg/types"
)

// TestPack: a list comes out by name and as it was, its neighbours in one piece of memory, and what they share is there once.
func TestPack(t *testing.T) {
	var list []*pod
	for i := range 3*packed + 1 {
		list = append(list, &pod{
			meta: meta{namespace: fmt.Sprintf("team-%d", i/100), name: fmt.Sprintf("pod-%03d", i)}, gpus: int32(i), replicaSet: types.UID(fmt.Sprintf("set-%d", i/10)),
		})
	}
	list = append(list, &pod{}) // without any text
	want := map[key]pod{}
	for _, p := range list {
		want[p.key()] = *p
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	packer(func(p *pod) []*string { return []*string{&p.namespace, &p.name, (*string)(&p.replicaSet)} })(list)
	if !slices.IsSortedFunc(list, func(a, b *pod) int { return strings.Compare(a.key().String(), b.key().String()) }) {
		t.Error("the list is in no order")
	}
	for i, p := range list {
		if *p != want[p.key()] {
			t.Errorf("%+v was %+v", *p, want[p.key()])
		}
		if i%packed == 0 || i < 2 {
			continue
		}
		before := list[i-1]
		if uintptr(unsafe.Pointer(p))-uintptr(unsafe.Pointer(before)) != unsafe.Sizeof(*p) {
			t.Errorf("%s is not beside %s", p.name, before.name)
		}
		if p.replicaSet == before.replicaSet && unsafe.StringData(string(p.replicaSet)) != unsafe.StringData(string(before.replicaSet)) {
			t.Errorf("%s and %s have a text each", p.name, before.name)
		}
	}
}
