package bed

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollEvery is how often Until and WaitFor look.
const pollEvery = 10 * time.Millisecond

// Until asks until the answer is yes, an error, or ctx ends; then it returns the context's error.
func Until(ctx context.Context, ask func() (bool, error)) error {
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// WaitFor asks until the answer is nil and fails the test with the last answer if that takes longer than timeout. It
// returns how long it took.
func WaitFor(t testing.TB, timeout time.Duration, what string, ask func() error) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := ask()
		took := time.Since(start)
		if err == nil {
			return took
		}
		if took > timeout {
			t.Fatalf("waiting %s for %s: %v", timeout, what, err)
		}
		time.Sleep(pollEvery)
	}
}

// Holds asks for the whole duration and fails the test at the first answer that is not nil: for what must not happen.
func Holds(t testing.TB, duration time.Duration, what string, ask func() error) {
	t.Helper()
	for start := time.Now(); time.Since(start) < duration; time.Sleep(pollEvery) {
		if err := ask(); err != nil {
			t.Fatalf("%s did not hold for %s: broken after %s: %v", what, duration, time.Since(start).Round(pollEvery), err)
		}
	}
}

// Want returns nil if got equals want, else an error that names both: an answer for WaitFor and Holds.
func Want[T comparable](what string, got, want T) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s is %v, want %v", what, got, want)
}
