//go:build linux && cgo

package nvml

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// library is the driver's.
type library struct {
	api nvml.Interface
}

// Open loads the library, DefaultLibrary if path is empty, and initialises it.
func Open(path string) (Library, error) {
	path = cmp.Or(path, DefaultLibrary)
	return open(nvml.New(nvml.WithLibraryPath(path)), path)
}

// open initialises a library.
func open(api nvml.Interface, path string) (Library, error) {
	switch ret := api.Init(); ret {
	case nvml.SUCCESS:
		return &library{api: api}, nil
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return nil, notFound(path)
	case nvml.ERROR_DRIVER_NOT_LOADED:
		err := failure(CallInit, ret)
		err.Detail = "the library is there, but the NVIDIA kernel driver is not loaded on this node, or the container has no /dev/nvidiactl: " +
			"run it with runtimeClassName nvidia, or mount the devices"
		return nil, err
	default:
		return nil, failure(CallInit, ret)
	}
}

// notFound says what to do about a library that cannot be loaded.
func notFound(path string) error {
	err := failure(CallInit, nvml.ERROR_LIBRARY_NOT_FOUND)
	err.Detail = fmt.Sprintf("loading %s: %v: this node has no NVIDIA driver, or this container does not see it. "+
		"Run the pod with the NVIDIA container runtime (runtimeClassName: nvidia, NVIDIA_VISIBLE_DEVICES=all, NVIDIA_DRIVER_CAPABILITIES=utility), "+
		"or mount the host's library and name it with --nvml-library", path, whyNot(path))
	return err
}

// whyNot is what the loader says about a library that cannot be loaded.
func whyNot(path string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lib := dl.New(path, dl.RTLD_LAZY)
	err := lib.Open()
	if err == nil {
		_ = lib.Close() // it is there by now, the next attempt will find it
		return fmt.Errorf("not found")
	}
	return err
}

// Close ends the use of the library.
func (l *library) Close() error {
	if ret := l.api.Shutdown(); ret != nvml.SUCCESS {
		return failure(CallShutdown, ret)
	}
	return nil
}

// has reports whether the driver's library has a function. Calling one that an older driver lacks ends the process.
func (l *library) has(function string) bool {
	return l.api.Extensions().LookupSymbol(function) == nil
}
