package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// fakeMail keeps what is posted as "TYPE REASON MESSAGE".
type fakeMail struct{ *record.FakeRecorder }

func (f fakeMail) post(on *corev1.ObjectReference, kind, reason, message string) {
	f.Event(on, kind, reason, message)
}

func (fakeMail) stop() {}

// postOffice is an API server that takes Events, or does with them what answer says.
type postOffice struct {
	typedcorev1.EventInterface
	answer    func(ctx context.Context, namespace string) error
	namespace string

	mu   *sync.Mutex
	took map[string][]time.Duration // since noon, by namespace
}

func newPostOffice(answer func(ctx context.Context, namespace string) error) postOffice {
	return postOffice{answer: answer, mu: &sync.Mutex{}, took: map[string][]time.Duration{}}
}

// Events is that of a namespace.
func (o postOffice) Events(namespace string) typedcorev1.EventInterface {
	o.namespace = namespace
	return o
}

// Create takes an Event.
func (o postOffice) Create(ctx context.Context, e *corev1.Event, _ metav1.CreateOptions) (*corev1.Event, error) {
	if err := o.answer(ctx, o.namespace); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.took[o.namespace] = append(o.took[o.namespace], time.Since(noon))
	return e, nil
}

// times are when those of a namespace came.
func (o postOffice) times(namespace string) []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.took[namespace])
}

func post(m *mail, namespace string, n int) {
	for i := range n {
		m.post(&corev1.ObjectReference{Namespace: namespace, Name: fmt.Sprint("d-", i)}, "Warning", "NoData", "x")
	}
}

// Thousands of Events of one namespace, in which they hang, do not hold up that of another; and no more of them wait than may.
func TestOneNamespacesEventsHoldUpNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		office := newPostOffice(func(ctx context.Context, namespace string) error {
			if namespace == "bad" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		m := newMail(office, logr.Discard())
		post(m, "bad", 10_000)
		post(m, "good", 3)
		synctest.Wait()
		m.mu.Lock()
		if n := len(m.waiting["bad"]); n > maxMail {
			t.Errorf("%d wait, want at most %d", n, maxMail)
		}
		m.mu.Unlock()
		if took := office.times("good"); len(took) != 3 || took[2] != 0 {
			t.Errorf("those of the good one went out after %v, want three at once", took)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.waiting)+len(m.sending)+m.busy > 0 {
			t.Errorf("%v wait, %v are on their way and %d are busy after all", m.waiting, m.sending, m.busy)
		}
	})
}

// An API server that is away for a while gets the Events when it is back; what it refuses is not sent again.
func TestEventsAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		var mu sync.Mutex
		office := newPostOffice(func(_ context.Context, namespace string) error {
			mu.Lock()
			defer mu.Unlock()
			asked[namespace]++
			switch {
			case namespace == "refused":
				return apierrors.NewForbidden(corev1.Resource("events"), "", errors.New("no right"))
			case time.Since(noon) < time.Minute:
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		m := newMail(office, logr.Discard())
		post(m, "away", 2)
		post(m, "refused", 2)
		time.Sleep(time.Hour)
		synctest.Wait()
		if took := office.times("away"); len(took) != 2 || took[0] != time.Minute {
			t.Errorf("sent after %v, want both when the minute was over", took)
		}
		mu.Lock()
		if asked["refused"] != 2 || asked["away"] > 2+6 {
			t.Errorf("asked %v times", asked)
		}
		mu.Unlock()
		m.stop()
		post(m, "away", 1)
		synctest.Wait()
		if len(office.times("away")) != 2 {
			t.Error("an Event went out after the end")
		}
	})
}
