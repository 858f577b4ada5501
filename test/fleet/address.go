package fleet

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Loopback addresses of pods are 127.B.NODE.n. Each fleet has a block B of its own, so that the fleets of two test
// processes on one machine do not meet on an address.
const (
	firstBlock = 64
	lastBlock  = 127
)

// claimBlock reserves the first block that no other fleet of this machine has, until the listener is closed or the
// process ends: it is a name in the abstract unix namespace, which leaves no file behind.
func claimBlock() (int, *net.UnixListener, error) {
	for block := firstBlock; block <= lastBlock; block++ {
		name := fmt.Sprintf("@fleet.test/127.%d", block)
		claim, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, nil, fmt.Errorf("reserving loopback addresses: %w", err)
		}
		return block, claim, nil
	}
	return 0, nil, fmt.Errorf("reserving loopback addresses: all blocks from 127.%d to 127.%d are taken", firstBlock, lastBlock)
}
