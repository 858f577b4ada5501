package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// shardKey is where in its ConfigMap a shard is.
const shardKey = "checkpoint.json.gz"

// shardTimeout bounds one request.
const shardTimeout = 5 * time.Second

// shardStore reads and writes the ConfigMaps of a checkpoint.
type shardStore struct {
	configMaps typedcorev1.ConfigMapInterface
	// prefix is the name of the Lease: who shares one shares the checkpoint.
	prefix string
	// gate is asked right before each write.
	gate gate
}

// name returns the name of a shard's ConfigMap.
func (s *shardStore) name(n int) string { return fmt.Sprintf("%s-checkpoint-%d", s.prefix, n) }

// get returns what a shard holds and its resourceVersion, both empty if there is none. Of one that cannot be used it returns the
// version with the error.
func (s *shardStore) get(ctx context.Context, n int) (m Memory, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, shardTimeout)
	defer cancel()
	stored, err := s.configMaps.Get(ctx, s.name(n), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return Memory{}, "", nil
	case err != nil:
		return Memory{}, "", fmt.Errorf("reading ConfigMap %s: %w", s.name(n), err)
	}
	body, found := stored.BinaryData[shardKey]
	if !found {
		return Memory{}, stored.ResourceVersion, fmt.Errorf("ConfigMap %s has no %s", s.name(n), shardKey)
	}
	if m, err = decodeShard(body); err != nil {
		err = fmt.Errorf("ConfigMap %s: %w", s.name(n), err)
	}
	return m, stored.ResourceVersion, err
}

// put writes a shard in place of the version that is known, empty for none, and returns the new one. If it is another by now,
// this is found out and tried once more: what a former leader wrote last is out of date.
func (s *shardStore) put(ctx context.Context, n int, version string, body []byte) (string, error) {
	put, err := s.send(ctx, n, version, body)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		if version, err = s.version(ctx, n); err == nil {
			put, err = s.send(ctx, n, version, body)
		}
	}
	if err != nil {
		return version, fmt.Errorf("writing ConfigMap %s: %w", s.name(n), err)
	}
	return put, nil
}

// version returns the present one, empty if there is none.
func (s *shardStore) version(ctx context.Context, n int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, shardTimeout)
	defer cancel()
	stored, err := s.configMaps.Get(ctx, s.name(n), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return stored.ResourceVersion, nil
}

// send makes one attempt, if the gate is open.
func (s *shardStore) send(ctx context.Context, n int, version string, body []byte) (string, error) {
	deadline, err := s.gate()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, shardTimeout)
	defer cancelTimeout()
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.name(n), ResourceVersion: version,
			Labels: map[string]string{"app.kubernetes.io/name": "gpuscaler", "app.kubernetes.io/component": "checkpoint"},
		},
		BinaryData: map[string][]byte{shardKey: body},
	}
	if version == "" {
		object, err = s.configMaps.Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager})
	} else {
		object, err = s.configMaps.Update(ctx, object, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return "", err
	}
	return object.ResourceVersion, nil
}
