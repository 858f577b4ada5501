package controller

import (
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/watch"
)

// A watch that is stopped while an event waits to be read leaves no goroutine behind: synctest fails if one does.
func TestFilterEndsWithTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := watch.NewFakeWithOptions(watch.FakeOptions{ChannelSize: 3})
		w := filter(from, func(e watch.Event) (watch.Event, bool) { return e, e.Type != watch.Bookmark })
		from.Action(watch.Bookmark, nil)
		from.Action(watch.Added, nil)
		from.Action(watch.Modified, nil)
		if e := <-w.ResultChan(); e.Type != watch.Added {
			t.Errorf("%s, want the bookmark left out", e.Type)
		}
		synctest.Wait() // the next event waits
		w.Stop()
		w.Stop()
		synctest.Wait()
		if _, more := <-w.ResultChan(); more {
			t.Error("an event after the end")
		}
	})
}
