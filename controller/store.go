package controller

import (
	"fmt"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// key names an object within its kind.
type key struct{ namespace, name string }

// String returns namespace/name.
func (k key) String() string { return k.namespace + "/" + k.name }

// object is what a store holds: a small struct with the few fields that matter, made from an API object. It is never
// changed once it is in a store.
type object interface {
	comparable
	runtime.Object
	metav1.ObjectMetaAccessor
	key() key
	// owner is the UID of the controlling object, empty for none: objects can be found by it.
	owner() types.UID
}

// store holds the objects that one reflector keeps up to date (it is a cache.ReflectorStore). It exists because 100,000
// pods as API objects take more than a GiB.
type store[T object] struct {
	// adopt, if not nil, finishes an object before it is stored: old is what it replaces and peer another of the same
	// owner, either may be nil.
	adopt func(fresh, old, peer T)
	// pack, if not nil, moves the objects of a full list together in memory.
	pack func(list []T)
	// changed, if not nil, is called after an object has come or gone, and after the first list.
	changed func()

	synced atomic.Bool

	mu      sync.RWMutex
	byKey   map[key]T
	byOwner map[types.UID][]T
}

// get returns an object, nil if it is not there.
func (s *store[T]) get(k key) T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byKey[k]
}

// all appends all objects to a list.
func (s *store[T]) all(list []T) []T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, o := range s.byKey {
		list = append(list, o)
	}
	return list
}

// ownedBy appends the objects of an owner to a list.
func (s *store[T]) ownedBy(owner types.UID, list []T) []T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append(list, s.byOwner[owner]...)
}

// Add stores an object.
func (s *store[T]) Add(obj any) error { return s.Update(obj) }

// Update stores an object in place of the one with the same name.
func (s *store[T]) Update(obj any) error {
	o, ok := obj.(T)
	if !ok {
		return fmt.Errorf("storing a %T: only %T is kept", obj, o)
	}
	s.mu.Lock()
	s.grow()
	came := s.put(o, s.byKey[o.key()])
	s.mu.Unlock()
	if came {
		s.notify()
	}
	return nil
}

// Delete removes an object.
func (s *store[T]) Delete(obj any) error {
	o, ok := obj.(T)
	if !ok {
		return fmt.Errorf("deleting a %T: only %T is kept", obj, o)
	}
	s.mu.Lock()
	old, found := s.byKey[o.key()]
	if found {
		delete(s.byKey, o.key())
		s.unlink(old)
	}
	s.mu.Unlock()
	if found {
		s.notify()
	}
	return nil
}

// Replace stores the objects of a full list in place of all there are.
func (s *store[T]) Replace(list []any, _ string) error {
	objects := make([]T, 0, len(list))
	for _, obj := range list {
		if o, ok := obj.(T); ok {
			objects = append(objects, o)
		}
	}
	if s.pack != nil {
		s.pack(objects)
	}
	s.mu.Lock()
	before := s.byKey
	s.byKey, s.byOwner = nil, nil
	s.grow()
	for _, o := range objects {
		s.put(o, before[o.key()])
	}
	s.mu.Unlock()
	s.synced.Store(true)
	s.notify()
	return nil
}

// reset forgets everything until the next full list.
func (s *store[T]) reset() {
	s.mu.Lock()
	s.synced.Store(false)
	s.byKey, s.byOwner = nil, nil
	s.mu.Unlock()
	s.notify()
}

func (s *store[T]) isSynced() bool { return s.synced.Load() }

// Resync does nothing: nobody is told twice.
func (s *store[T]) Resync() error { return nil }

// grow makes the maps.
func (s *store[T]) grow() {
	if s.byKey == nil {
		s.byKey, s.byOwner = map[key]T{}, map[types.UID][]T{}
	}
}

// put stores an object and reports whether its name is new. old is what was known under its name, nil if nothing was.
func (s *store[T]) put(o, old T) bool {
	var none, peer T
	if siblings := s.byOwner[o.owner()]; len(siblings) > 0 {
		peer = siblings[0]
	}
	if s.adopt != nil {
		s.adopt(o, old, peer)
	}
	stored, found := s.byKey[o.key()]
	if found {
		delete(s.byKey, o.key()) // so that the key's strings are those of the new object
		s.unlink(stored)
	}
	s.byKey[o.key()] = o
	if owner := o.owner(); owner != "" {
		s.byOwner[owner] = append(s.byOwner[owner], o)
	}
	return old == none
}

// unlink takes an object out of the index.
func (s *store[T]) unlink(o T) {
	owner := o.owner()
	siblings := s.byOwner[owner]
	for i := range siblings {
		if siblings[i] != o {
			continue
		}
		var none T
		last := len(siblings) - 1
		siblings[i], siblings[last] = siblings[last], none
		if last == 0 {
			delete(s.byOwner, owner)
		} else {
			s.byOwner[owner] = siblings[:last]
		}
		return
	}
}

// notify tells that an object has come or gone.
func (s *store[T]) notify() {
	if s.changed != nil {
		s.changed()
	}
}
