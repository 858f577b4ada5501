package controller

import (
	"context"
	"sync"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/watchlist"
)

// lister is what all typed clients have.
type lister[L runtime.Object] interface {
	List(ctx context.Context, opts metav1.ListOptions) (L, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// narrowed lists and watches API objects and hands on only what is kept of them, so that the large ones live no longer
// than it takes to decode them. It is a cache.ListerWatcherWithContext.
type narrowed[T object, L runtime.Object] struct {
	client lister[L]
	// clientset is where client comes from.
	clientset any
	// selector is a label selector and fields a field selector, empty for all.
	selector, fields string
	// convert returns what is kept of an API object; with keep false it is treated as deleted.
	convert func(runtime.Object) (o T, keep bool)

	// told, if not nil, is called with the outcome of each attempt.
	told func(error)

	mu sync.Mutex
	// problem is why the last attempt failed, nil if it did not.
	problem error
}

// pageSize is how many objects are listed at once where the API server cannot stream them.
const pageSize = 500

// failed remembers the outcome of an attempt.
func (n *narrowed[T, L]) failed(err error) {
	n.mu.Lock()
	n.problem = err
	n.mu.Unlock()
	if n.told != nil {
		n.told(err)
	}
}

// err returns why the last attempt failed, nil if it did not.
func (n *narrowed[T, L]) err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.problem
}

// IsWatchListSemanticsUnSupported is client-go's way to learn that a client is a fake that cannot stream lists.
func (n *narrowed[T, L]) IsWatchListSemanticsUnSupported() bool {
	return watchlist.DoesClientNotSupportWatchListSemantics(n.clientset)
}

// List is ListWithContext without a context.
func (n *narrowed[T, L]) List(opts metav1.ListOptions) (runtime.Object, error) {
	return n.ListWithContext(context.Background(), opts)
}

// Watch is WatchWithContext without a context.
func (n *narrowed[T, L]) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return n.WatchWithContext(context.Background(), opts)
}

// ListWithContext lists a page, or everything where the limit is 0, as client-go asks when a list expired between its
// pages. It always asks for the newest state: with any other resource version the API server ignores the page size and
// 100,000 pods arrive at once.
func (n *narrowed[T, L]) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	opts.LabelSelector, opts.FieldSelector = n.selector, n.fields
	if opts.Continue == "" {
		opts.ResourceVersion, opts.ResourceVersionMatch = "", ""
	}
	from, err := n.client.List(ctx, opts)
	n.failed(err)
	if err != nil {
		return nil, err
	}
	list, err := apimeta.ListAccessor(from)
	if err != nil {
		return nil, err
	}
	kept := &internalversion.List{ListMeta: metav1.ListMeta{ResourceVersion: list.GetResourceVersion(), Continue: list.GetContinue()}}
	err = apimeta.EachListItem(from, func(api runtime.Object) error {
		if o, keep := n.convert(api); keep {
			kept.Items = append(kept.Items, o)
		}
		return nil
	})
	return kept, err
}

// WatchWithContext watches.
func (n *narrowed[T, L]) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.LabelSelector, opts.FieldSelector = n.selector, n.fields
	w, err := n.client.Watch(ctx, opts)
	n.failed(err)
	if err != nil {
		return nil, err
	}
	return filter(w, n.narrow), nil
}

// narrow converts an event. Bookmarks and errors pass as they are.
func (n *narrowed[T, L]) narrow(e watch.Event) (watch.Event, bool) {
	if e.Type != watch.Added && e.Type != watch.Modified && e.Type != watch.Deleted {
		return e, true
	}
	var none T
	o, keep := n.convert(e.Object)
	if o == none {
		return e, false
	}
	e.Object = o
	if !keep {
		e.Type = watch.Deleted
	}
	return e, true
}

// watched makes the source that keeps a store up to date.
func watched[T object, L runtime.Object](what string, from *narrowed[T, L], into *store[T]) *watchSource {
	again := make(chan struct{}, 1)
	return &watchSource{
		what:    what,
		synced:  into.synced.Load,
		problem: from.err,
		again:   again,
		run:     func(ctx context.Context) { keepUp(ctx, what, from, into, again) },
	}
}

// keepUp keeps a store up to date until the context ends. Each time it is told to, it lists anew; until then the store stays as it is.
func keepUp(ctx context.Context, what string, from cache.ListerWatcher, into cache.ReflectorStore, again <-chan struct{}) {
	options := cache.ReflectorOptions{Name: "gpuscaler", TypeDescription: what}
	for ctx.Err() == nil {
		watching, stop := context.WithCancel(ctx)
		go func() {
			select {
			case <-again:
				stop()
			case <-watching.Done():
			}
		}()
		reflector := cache.NewReflectorWithOptions(from, nil, into, options)
		reflector.WatchListPageSize = pageSize
		reflector.RunWithContext(watching)
		stop()
	}
}
