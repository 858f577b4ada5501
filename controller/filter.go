package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/watch"
)

// filtered is a watch whose events pass a function, which may leave some out. It does what client-go's watch.Filter does, but that one waits
// forever to hand over an event after whoever watches has stopped: each watch that is cut off under load would leave a goroutine behind.
type filtered struct {
	from    watch.Interface
	results chan watch.Event
	stopped chan struct{}
	once    sync.Once
}

// filter begins to pass on events.
func filter(from watch.Interface, pass func(watch.Event) (watch.Event, bool)) watch.Interface {
	f := &filtered{from: from, results: make(chan watch.Event), stopped: make(chan struct{})}
	go func() {
		defer close(f.results)
		for event := range from.ResultChan() {
			event, keep := pass(event)
			if !keep {
				continue
			}
			select {
			case f.results <- event:
			case <-f.stopped:
				return
			}
		}
	}()
	return f
}

// Stop ends the watch. Whoever calls it need not read on.
func (f *filtered) Stop() {
	f.once.Do(func() { close(f.stopped) })
	f.from.Stop()
}

// ResultChan is closed when the watch has ended.
func (f *filtered) ResultChan() <-chan watch.Event { return f.results }
