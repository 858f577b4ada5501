package controller

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/policy"
)

// eventPause is how long no second Event with the same reason is written on the same Deployment.
const eventPause = 10 * time.Minute

// maxEventMessage is how long the API server lets a message be.
const maxEventMessage = 1024

// recorder writes Events on Deployments. A nil recorder writes none.
type recorder struct {
	mail poster

	mu sync.Mutex
	// last is when an Event was written. It outlives the target: whoever opts in and out all the time gets no more Events.
	last map[eventKey]time.Time
	// swept is when last was cleared of what is older than the pause.
	swept time.Time
}

// eventKey names what may have one Event in a pause.
type eventKey struct {
	deployment types.UID
	reason     policy.Reason
}

// poster is what Events are given to.
type poster interface {
	post(on *corev1.ObjectReference, kind, reason, message string)
	stop()
}

// newRecorder makes a recorder.
func newRecorder(client kubernetes.Interface, log logr.Logger) *recorder {
	return &recorder{mail: newMail(client.CoreV1(), log)}
}

// event writes an Event on a Deployment unless it had one with this reason lately.
func (r *recorder) event(d *deployment, kind string, reason policy.Reason, message string) {
	r.eventFor(&change{namespace: d.namespace, name: d.name, uid: d.uid}, kind, reason, message)
}

// eventFor writes an Event on the Deployment of a change unless it had one with this reason lately.
func (r *recorder) eventFor(c *change, kind string, reason policy.Reason, message string) {
	if r == nil || !r.due(c.uid, reason) {
		return
	}
	r.mail.post(&corev1.ObjectReference{
		APIVersion: "apps/v1", Kind: "Deployment", Namespace: c.namespace, Name: c.name, UID: c.uid,
	}, kind, string(reason), brief(message))
}

// brief cuts a message that is too long for an Event. The log gets no more either: a tenant has many Deployments.
func brief(message string) string {
	if len(message) <= maxEventMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxEventMessage-len("…")], "") + "…"
}

// due reports whether an Event may be written, and if so notes it as written.
func (r *recorder) due(uid types.UID, reason policy.Reason) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	over := func(_ eventKey, last time.Time) bool { return now.Sub(last) >= eventPause }
	k := eventKey{uid, reason}
	if last, ok := r.last[k]; ok && !over(k, last) {
		return false
	}
	if now.Sub(r.swept) >= eventPause {
		maps.DeleteFunc(r.last, over)
		r.swept = now
	}
	if r.last == nil {
		r.last = map[eventKey]time.Time{}
	}
	r.last[k] = now
	return true
}

// stop ends the recorder. Events that have not gone out yet are lost.
func (r *recorder) stop() {
	if r != nil {
		r.mail.stop()
	}
}
