package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// markTimeout bounds the marking of the pods of one target.
	markTimeout = 10 * time.Second
	// maxMarking is how many pods are being marked at once, of all targets.
	maxMarking = 8
)

// cost tells who has set the annotation by which a ReplicaSet chooses which pods go first. The lowest goes first, and none is 0.
type cost uint8

const (
	noCost cost = iota
	// ourCost was set by this program, be it another process.
	ourCost
	// theirCost was set by someone else. It is never changed.
	theirCost
)

// costOf reads it from the annotations and, who set it, from the managed fields.
func costOf(pod *corev1.Pod) cost {
	if _, set := pod.Annotations[corev1.PodDeletionCost]; !set {
		return noCost
	}
	field := []byte(`"f:` + corev1.PodDeletionCost + `"`)
	for i := range pod.ManagedFields {
		f := &pod.ManagedFields[i]
		if f.Manager == fieldManager && f.FieldsV1 != nil && bytes.Contains(f.FieldsV1.GetRawBytes(), field) {
			return ourCost
		}
	}
	return theirCost
}

// marker marks pods to be removed first.
type marker struct {
	pods typedcorev1.PodsGetter
	// gate is asked right before each write.
	gate  func() (time.Time, error)
	slots chan struct{}
}

// marking is the marking of the pods of one target. A nil one has ended well.
type marking struct {
	cancel  context.CancelFunc
	running atomic.Int32
	mu      sync.Mutex
	// refused is why it is forbidden, nil if it is not.
	refused error
}

// stop ends it early.
func (m *marking) stop() {
	if m != nil {
		m.cancel()
	}
}

// underWay reports whether it has not ended.
func (m *marking) underWay() bool { return m != nil && m.running.Load() > 0 }

// refusal returns why it is forbidden, nil if it is not.
func (m *marking) refusal() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused
}

// send unmarks pods and marks others, beside the loop. The marks are just below the 0 of pods without: -1 for the last to go, so
// that a cost that someone has set keeps its meaning.
func (k *marker) send(namespace string, unmark, mark []string) *marking {
	ctx, cancel := context.WithTimeout(context.Background(), markTimeout)
	m := &marking{cancel: cancel}
	m.running.Store(int32(len(unmark) + len(mark)))
	one := func(pod, value string) {
		k.slots <- struct{}{}
		defer func() {
			<-k.slots
			if m.running.Add(-1) == 0 {
				cancel()
			}
		}()
		if ctx.Err() != nil || m.refusal() != nil {
			return
		}
		// What fails for other reasons is left: it only orders, and what is to be unmarked is seen in the next tick.
		if err := k.set(ctx, namespace, pod, value); apierrors.IsForbidden(err) {
			m.mu.Lock()
			m.refused = err
			m.mu.Unlock()
		}
	}
	for _, pod := range unmark {
		go one(pod, "")
	}
	for i, pod := range mark {
		go one(pod, strconv.Itoa(i-len(mark)))
	}
	return m
}

// set sets the cost of a pod, or with "" removes it, unless someone else has set one. Nobody's change can come in between: the
// patch names the version that was looked at.
func (k *marker) set(ctx context.Context, namespace, pod, value string) error {
	stored, err := k.pods.Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading pod %s/%s: %w", namespace, pod, err)
	}
	if costOf(stored) == theirCost || stored.DeletionTimestamp != nil || stored.Annotations[corev1.PodDeletionCost] == value {
		return nil
	}
	var annotation any // null removes it
	if value != "" {
		annotation = value
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": stored.UID, "resourceVersion": stored.ResourceVersion,
		"annotations": map[string]any{corev1.PodDeletionCost: annotation},
	}})
	if err != nil {
		return fmt.Errorf("encoding the patch of pod %s/%s: %w", namespace, pod, err)
	}
	deadline, err := k.gate()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	_, err = k.pods.Pods(namespace).Patch(ctx, pod, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("marking pod %s/%s: %w", namespace, pod, err)
	}
	return nil
}
