package controller

import (
	"errors"
	"time"
)

// errNotLeader says that a change was not made because the Lease is no longer surely ours.
var errNotLeader = errors.New("the lease is no longer ours")

// gate tells whether this process may write now, and until when a write may take.
type gate func() (deadline time.Time, err error)

// open is the gate where no leader is elected.
func open() (time.Time, error) { return time.Now().Add(writeTimeout), nil }
