package faults

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// attempt is a test whose failure is told to who tries it, and fails nothing else. Whatever is not of failing and of ending is its
// parent's.
type attempt struct {
	testing.TB
	ctx context.Context //nolint:containedctx // as testing.TB has it

	mu       sync.Mutex
	failed   bool
	said     []string
	cleanups []func()
}

// try runs a test and reports whether it failed, and with what words.
func try(t testing.TB, test func(testing.TB)) (failed bool, said string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := &attempt{TB: t, ctx: ctx}
	a.alone(func() { test(a) })
	cancel()
	for {
		a.mu.Lock()
		n := len(a.cleanups)
		if n == 0 {
			break
		}
		last := a.cleanups[n-1]
		a.cleanups = a.cleanups[:n-1]
		a.mu.Unlock()
		a.alone(last)
	}
	defer a.mu.Unlock()
	return a.failed, strings.Join(a.said, "\n")
}

// alone runs a function on a goroutine of its own, which FailNow may end.
func (a *attempt) alone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (a *attempt) say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
	a.said = append(a.said, strings.TrimSuffix(text, "\n"))
}

// Cleanup, Context and what follows are as testing.TB has them.
func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

func (a *attempt) Context() context.Context { return a.ctx }

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *attempt) Fail() { a.say("failed") }

func (a *attempt) FailNow() {
	a.say("failed")
	runtime.Goexit()
}

func (a *attempt) Error(args ...any) { a.say(fmt.Sprintln(args...)) }

func (a *attempt) Errorf(format string, args ...any) { a.say(fmt.Sprintf(format, args...)) }

func (a *attempt) Fatal(args ...any) {
	a.say(fmt.Sprintln(args...))
	runtime.Goexit()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// Log and Logf say nothing: what is told at length of a test that fails would hide what counts.
func (a *attempt) Log(...any) {}

func (a *attempt) Logf(string, ...any) {}

// A test that fails is told to have failed, with all it said, and its cleanups run in order; who tries it goes on.
func TestTry(t *testing.T) {
	var order []string
	failed, said := try(t, func(t testing.TB) {
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() {
			order = append(order, "last")
			if !t.Failed() || t.Context().Err() == nil {
				t.Error("in a cleanup the test has failed and its context has ended")
			}
			t.FailNow()
		})
		t.Errorf("went %s", "wrong")
		t.Fatal("at once")
		t.Error("never reached")
	})
	if !failed || said != "went wrong\nat once\nfailed" || !slices.Equal(order, []string{"last", "first"}) {
		t.Errorf("failed %t, said %q, cleaned up %q", failed, said, order)
	}
	if failed, said := try(t, func(t testing.TB) { t.Log("fine") }); failed || said != "" {
		t.Errorf("failed %t, said %q, want neither", failed, said)
	}
}
