//go:build !linux || !cgo

package nvml

import "errors"

// Open fails: this build has no cgo.
func Open(string) (Library, error) {
	return nil, errors.New("this binary was built without cgo or not for Linux, so it cannot read NVML: " +
		"use nvml-agent as `make build` builds it on Linux with a C compiler (CGO_ENABLED=1)")
}
