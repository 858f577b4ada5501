// Package nvml reads the GPUs of this machine through NVIDIA's management library, in plain values of Go.
//
// The library comes with the driver and is opened when the program runs (dlopen), so a program that uses this package
// starts without a driver too. It needs cgo and Linux: other builds compile, and Open fails in them.
//
// A number that the driver does not give is absent, never 0: an error that wraps ErrUnavailable, or NaN within a slice.
// So is one that cannot be, such as a utilization of 4294967295 percent: the driver's way to say that it does not know.
package nvml
