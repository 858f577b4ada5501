package sampler

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

var nan = math.NaN()

// TestWindows has a GPU idle for 20 s and then busy, and looks at the means between two samples.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		d := n.gpu(0)
		d.utilization = 0
		s := n.start(t)
		wait(20500 * time.Millisecond)
		n.set(func() { d.utilization = 1 })
		for _, c := range []struct {
			after time.Duration
			want  []float64
		}{
			{0, []float64{0, 0, 0}},
			{time.Second, []float64{1, 0.2, 1. / 15}},
			{time.Second, []float64{1, 0.4, 2. / 15}},
			{4 * time.Second, []float64{1, 1, 6. / 15}},
			{20 * time.Second, []float64{1, 1, 1}},
		} {
			wait(c.after)
			if got := utilizations(t, s, "GPU-0", ""); !same(got, c.want) {
				t.Errorf("%v later the means are %v, want %v", c.after, got, c.want)
			}
		}
		one := find(t, s, "GPU-0", "")
		if age := time.Since(one.Newest); age != 500*time.Millisecond {
			t.Errorf("the newest sample is %v old", age)
		}
		if m := one.Means[0]; m.Used != 10 || m.Power != 300 || one.Total != 100 || one.Reserved != 5 {
			t.Errorf("the series is %+v", one)
		}
	})
}

// TestHang has one of two GPUs hang. It is asked no second time, its series goes, the other's goes on; when the call
// returns, what it told is not used, but what comes after is.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		bad := n.gpu(0)
		n.gpu(1)
		s := n.start(t)
		wait(3500 * time.Millisecond) // samples at 0, 1, 2 and 3 s
		n.set(func() { bad.hang[nvml.CallMemory] = make(chan struct{}) })
		wait(500 * time.Millisecond) // the sample at 4 s hangs
		before, _ := bad.asked(nvml.CallMemory)
		wait(2999 * time.Millisecond)
		if got := n.failed(nvml.CallMemory, ReasonHung); got != 0 {
			t.Errorf("it counts as hung before 3 s are over")
		}
		wait(time.Millisecond)
		if got := n.failed(nvml.CallMemory, ReasonHung); got != 1 {
			t.Errorf("after 3 s it has hung %d times, want once", got)
		}
		wait(time.Second) // 8 s: the newest sample is 5 s old
		if find(t, s, "GPU-0", "") == nil {
			t.Error("the series went before its newest sample was older than 5 s")
		}
		wait(time.Millisecond)
		if got := find(t, s, "GPU-0", ""); got != nil {
			t.Errorf("the series is still there: %+v", got)
		}
		wait(time.Minute)
		if times, most := bad.asked(nvml.CallMemory); times != before || most != 1 {
			t.Errorf("it was asked %d times more while it hung, %d calls at once", times-before, most)
		}
		if got := n.failed(nvml.CallMemory, ReasonHung); got != 1 {
			t.Errorf("one hang counts %d times", got)
		}
		if got := utilizations(t, s, "GPU-1", ""); !same(got, []float64{0.5, 0.5, 0.5}) || time.Since(find(t, s, "GPU-1", "").Newest) > interval {
			t.Errorf("the other GPU has %v", got)
		}
		n.set(func() { bad.utilization = 0.75; bad.release() })
		synctest.Wait()
		if got := find(t, s, "GPU-0", ""); got != nil && got.Newest != time.Now() {
			t.Errorf("what the call told in the end is shown: %+v", got)
		}
		wait(1500 * time.Millisecond)
		if got := utilizations(t, s, "GPU-0", ""); !same(got, []float64{0.75, 0.75, 0.75}) {
			t.Errorf("after it returned the means are %v", got)
		}
		if opened, _ := n.times(); opened != 1 {
			t.Errorf("the library was opened %d times", opened)
		}
	})
}

// TestLost has a GPU fall off the bus. Its series goes, the other's stays, and when the GPU has been reset the library
// is opened again and the other's windows have not lost anything.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		bad, good := n.gpu(0), n.gpu(1)
		good.utilization = 0
		s := n.start(t)
		wait(55 * time.Second)
		n.set(func() {
			for _, call := range []string{nvml.CallUtilization, nvml.CallMemory, nvml.CallPower} {
				bad.fail[call] = lostGPU(call)
			}
		})
		wait(4 * time.Second)
		n.set(func() { good.utilization = 1 })
		wait(1500 * time.Millisecond) // the library is opened again at 60 s
		opened, closed := n.times()
		if opened != 2 || closed != 1 {
			t.Errorf("the library was opened %d times and closed %d times, want 2 and 1", opened, closed)
		}
		if find(t, s, "GPU-0", "") != nil {
			t.Error("the lost GPU still has a series")
		}
		if got := utilizations(t, s, "GPU-1", ""); len(got) != 3 || got[0] != 1 || got[2] > 0.3 {
			t.Errorf("the other GPU has %v, want its idle past in the long window", got)
		}
		if n.failed(nvml.CallUtilization, nvml.ReasonLost) == 0 {
			t.Error("the failures are not counted")
		}
		wait(10 * time.Minute)
		if again, _ := n.times(); again-opened < 2 || again-opened > 6 {
			t.Errorf("in 10 minutes the library was opened %d times more for a GPU that stays lost", again-opened)
		}
		n.set(func() { clear(bad.fail) })
		wait(20 * time.Second)
		if got := utilizations(t, s, "GPU-0", ""); !same(got, []float64{0.5, 0.5, 0.5}) {
			t.Errorf("the GPU that came back has %v", got)
		}
	})
}

// TestLostWhileAnotherHangs wants the library left alone while a call is inside of it.
func TestLostWhileAnotherHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		gone, stuck := n.gpu(0), n.gpu(1)
		n.start(t)
		wait(time.Second / 2)
		n.set(func() {
			for _, call := range []string{nvml.CallUtilization, nvml.CallMemory, nvml.CallPower} {
				gone.fail[call] = lostGPU(call)
			}
			stuck.hang[nvml.CallPower] = make(chan struct{})
		})
		wait(5 * time.Minute)
		if opened, closed := n.times(); opened != 1 || closed != 0 {
			t.Errorf("the library was opened %d times and closed %d times while a call hung", opened, closed)
		}
		n.set(stuck.release)
		wait(time.Minute)
		opened, _ := n.times()
		if _, most := stuck.asked(nvml.CallPower); opened < 2 || most != 1 {
			t.Errorf("after it returned the library was opened %d times, at most %d calls at once", opened, most)
		}
	})
}

// TestOneCallFails wants what fails to be absent and the rest to be there: absent from the shortest window at once,
// from the others when its own newest sample is too old.
func TestOneCallFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     error
		counted int
	}{
		{"a failure", &nvml.Error{Call: nvml.CallUtilization, Reason: "timeout"}, 7},
		{"not to be had", nvml.ErrUnavailable, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &node{}
				d := n.gpu(0)
				s := n.start(t)
				wait(20500 * time.Millisecond)
				n.set(func() { d.fail[nvml.CallUtilization] = c.err })
				wait(time.Second)
				if got := utilizations(t, s, "GPU-0", ""); !same(got, []float64{nan, 0.5, 0.5}) {
					t.Errorf("a second after it began to fail the means are %v", got)
				}
				wait(6 * time.Second)
				if got := utilizations(t, s, "GPU-0", ""); !same(got, []float64{nan, nan, nan}) {
					t.Errorf("after 7 s the means are %v, want none", got)
				}
				if got := find(t, s, "GPU-0", "").Means[0].Used; got != 10 {
					t.Errorf("the memory is %v", got)
				}
				if got := n.failed(nvml.CallUtilization, "timeout"); got != c.counted {
					t.Errorf("it counts %d times, want %d", got, c.counted)
				}
			})
		})
	}
}

// TestNoDriver starts without a driver, which comes after a minute.
func TestNoDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{openErr: &nvml.Error{Call: nvml.CallInit, Reason: "library_not_found"}}
		n.gpu(0)
		s := n.start(t)
		wait(61 * time.Second)
		if s.Up() || len(s.Series()) != 0 {
			t.Errorf("without a driver it is up: %t, and has %v", s.Up(), s.Series())
		}
		if got := n.failed(nvml.CallInit, "library_not_found"); got != 3 {
			t.Errorf("it tried %d times in a minute, want 3", got)
		}
		n.set(func() { n.openErr = nil })
		wait(30 * time.Second)
		if !s.Up() || find(t, s, "GPU-0", "") == nil {
			t.Error("the driver that came was not found within 30 s")
		}
		n.set(func() {
			n.listErr = &nvml.Error{Call: nvml.CallList, Reason: "driver_not_loaded"}
			n.devices[0].fail[nvml.CallList] = n.listErr
		})
		wait(relist)
		if s.Up() {
			t.Error("it is up after the driver went away")
		}
	})
}

// TestMIGIsReconfigured has a GPU be divided. An incomplete list is no reason to drop anything.
func TestMIGIsReconfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		whole, other := n.gpu(0), n.gpu(1)
		s := n.start(t)
		wait(12 * time.Second)
		n.set(func() {
			whole.fail[nvml.CallList] = errors.New("not listed")
			n.listErr = &nvml.Error{Call: nvml.CallList, Reason: "timeout"}
		})
		wait(relist)
		if find(t, s, "GPU-0", "") == nil {
			t.Error("a GPU was dropped because the list was incomplete")
		}
		slice := n.gpu(2)
		n.set(func() {
			n.listErr = nil
			slice.info = nvml.Info{UUID: "MIG-0", Parent: "GPU-0", MIGProfile: "1g.10gb", GPUInstance: 7}
		})
		calls, _ := other.asked(nvml.CallPower)
		wait(relist)
		if find(t, s, "GPU-0", "") != nil || find(t, s, "MIG-0", "") == nil {
			t.Errorf("after it was divided there is %+v", s.Series())
		}
		n.set(func() {
			if whole.closed == 0 {
				t.Error("the handle of the GPU that is gone was not closed")
			}
		})
		if got, _ := other.asked(nvml.CallPower); got-calls != 10 {
			t.Errorf("the other GPU was read %d times in 10 s", got-calls)
		}
	})
}

// TestAnotherPod wants a pod's series to hold nothing of what was read before it held the device.
func TestAnotherPod(t *testing.T) {
	hold := func(names ...string) pods.Holders {
		h := pods.Holders{}
		for _, name := range names {
			h["GPU-0"] = append(h["GPU-0"], pods.Holder{Pod: pods.Pod{Namespace: "ml", Name: name}, Container: "c"})
		}
		return h
	}
	synctest.Test(t, func(t *testing.T) {
		n := &node{holders: hold("old")}
		d := n.gpu(0)
		d.utilization = 1
		s := n.start(t)
		wait(20500 * time.Millisecond)
		if got := utilizations(t, s, "GPU-0", "old"); !same(got, []float64{1, 1, 1}) || find(t, s, "GPU-0", "") != nil {
			t.Errorf("the first pod has %v", got)
		}
		n.set(func() { n.holders = hold("new"); d.utilization = 0 })
		if got := s.Series(); len(got) != 0 {
			t.Errorf("before the new pod's first sample there is %+v", got)
		}
		wait(time.Second)
		if got := utilizations(t, s, "GPU-0", "new"); !same(got, []float64{0, 0, 0}) {
			t.Errorf("the new pod has %v, want nothing of the old one's load", got)
		}
		n.set(func() { n.unknown = true })
		if got := utilizations(t, s, "GPU-0", ""); len(got) != 3 || got[0] != 0 || find(t, s, "GPU-0", "new") != nil {
			t.Errorf("while the kubelet is silent the device has %v, and the pod %v", got, find(t, s, "GPU-0", "new"))
		}
		n.set(func() { n.unknown, n.holders = false, nil })
		if got := utilizations(t, s, "GPU-0", ""); len(got) != 3 {
			t.Errorf("without a pod the device has %v", got)
		}
	})
}

// TestListingHangs wants the devices that are known to be sampled on, and no second list to be asked for.
func TestListingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		n.gpu(0)
		s := n.start(t)
		wait(time.Second / 2)
		hangs := make(chan struct{})
		n.set(func() { n.hangs = hangs })
		wait(time.Minute)
		n.set(func() {
			if n.lists != 2 {
				t.Errorf("it asked %d times, want once more while it hung", n.lists)
			}
			n.hangs = nil
		})
		if got := n.failed(nvml.CallList, ReasonHung); got != 1 || find(t, s, "GPU-0", "") == nil || !s.Up() {
			t.Errorf("one hang counts %d times, and there is %+v", got, s.Series())
		}
		close(hangs)
		n.gpu(1)
		wait(relist)
		if find(t, s, "GPU-1", "") == nil {
			t.Error("after it returned a new device is not found")
		}
	})
}

// TestEndWhileACallHangs wants the end not to wait for it, and the library not to be closed under it.
func TestEndWhileACallHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{}
		d := n.gpu(0)
		s := n.start(t)
		wait(time.Second / 2)
		n.set(func() { d.hang[nvml.CallMemory] = make(chan struct{}) })
		wait(time.Minute)
		n.stop()
		wait(patience)
		if _, closed := n.times(); s.Up() || closed != 0 {
			t.Errorf("after the end it is up: %t, and the library was closed %d times", s.Up(), closed)
		}
	})
}
