package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// maxMail is how many Events of one namespace may wait. Further ones are dropped: the log and the metrics tell the same.
	maxMail = 100
	// mailers is how many Events are sent at once, of each namespace one.
	mailers = 8
	// mailTimeout bounds one request. It is shorter than a webhook may take.
	mailTimeout = 5 * time.Second
	// mailPause is how long a namespace's Events wait after the API server was not reached, and mailTries how often one is tried.
	mailPause = 10 * time.Second
	mailTries = 12
)

// mail sends Events beside all else, those of a namespace one after the other, and of several namespaces at once: client-go's recorder
// sends all in one line, in which a namespace with thousands of them, or whose webhooks hang, holds up the others'.
type mail struct {
	client typedcorev1.EventsGetter
	log    logr.Logger

	mu      sync.Mutex
	waiting map[string][]*letter
	// sending are the namespaces of which one is on its way, or that pause.
	sending map[string]bool
	busy    int
	stopped bool
	// complained is when it was logged last that an Event could not be written.
	complained time.Time
}

// letter is an Event on its way.
type letter struct {
	*corev1.Event
	tries int
}

func newMail(client typedcorev1.EventsGetter, log logr.Logger) *mail {
	return &mail{client: client, log: log, waiting: map[string][]*letter{}, sending: map[string]bool{}}
}

// post has an Event on a Deployment sent. It never blocks.
func (m *mail) post(on *corev1.ObjectReference, kind, reason, message string) {
	now := metav1.Now()
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: on.Namespace, Name: fmt.Sprintf("%s.%x", on.Name, now.UnixNano())},
		InvolvedObject: *on, Type: kind, Reason: reason, Message: message,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		Source: corev1.EventSource{Component: fieldManager}, ReportingController: fieldManager,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || len(m.waiting[on.Namespace]) >= maxMail {
		return
	}
	m.waiting[on.Namespace] = append(m.waiting[on.Namespace], &letter{Event: e})
	m.pump()
}

// pump sends what can be sent. The namespaces come in no order, so that none comes always first. Call it with mu held.
func (m *mail) pump() {
	for namespace, list := range m.waiting {
		switch {
		case m.stopped || m.busy >= mailers:
			return
		case m.sending[namespace]:
			continue
		case len(list) == 1:
			delete(m.waiting, namespace)
		default:
			m.waiting[namespace] = list[1:]
		}
		m.sending[namespace] = true
		m.busy++
		go m.send(list[0])
	}
}

// send sends one. What the API server refuses is lost; when it was not reached it is tried again.
func (m *mail) send(l *letter) {
	ctx, cancel := context.WithTimeout(context.Background(), mailTimeout)
	defer cancel()
	_, err := m.client.Events(l.Namespace).Create(ctx, l.Event, metav1.CreateOptions{FieldManager: fieldManager})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy--
	l.tries++
	var answered apierrors.APIStatus
	if err == nil || errors.As(err, &answered) || errors.Is(err, context.DeadlineExceeded) || l.tries >= mailTries {
		m.complain(l, err)
		delete(m.sending, l.Namespace)
		m.pump()
		return
	}
	m.waiting[l.Namespace] = append([]*letter{l}, m.waiting[l.Namespace]...)
	time.AfterFunc(mailPause, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.sending, l.Namespace)
		m.pump()
	})
	m.pump()
}

// complain logs, now and then, that an Event could not be written. Call it with mu held.
func (m *mail) complain(l *letter, err error) {
	if err == nil || m.stopped || time.Since(m.complained) < eventPause {
		return
	}
	m.complained = time.Now()
	m.log.Info("An Event could not be written; others that fail are not told for a while", "namespace", l.Namespace,
		"name", l.InvolvedObject.Name, "reason", l.Reason, "problem", brief(err.Error()))
}

// stop ends it. What has not gone out yet is lost.
func (m *mail) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped, m.waiting = true, nil
}
