package past

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
)

// server answers ranges with the seconds since 1970 of each step, and fails as it is told to.
type server struct {
	requests, most int
	fail           func(request, steps int) error
}

func (s *server) read(_ context.Context, start, end time.Time, step time.Duration) (backtest.Signal, error) {
	var part backtest.Signal
	steps := int(end.Sub(start)/step) + 1
	s.requests, s.most = s.requests+1, max(s.most, steps)
	if s.fail != nil {
		if err := s.fail(s.requests, steps); err != nil {
			return part, err
		}
	}
	for i := range steps {
		part.Add("a", i, backtest.Value(start.Add(time.Duration(i)*step).Unix()))
	}
	return part, nil
}

// reader reads 2,000 steps up to now.
func reader(dir string) *Reader {
	start := time.Unix(1_767_600_000, 0)
	return &Reader{
		Dir: dir, Server: "http://prometheus", Start: start, Step: 15 * time.Second, Steps: 2000, Now: start.Add(2000 * 15 * time.Second),
		Wait: func(context.Context, time.Duration) error { return nil },
	}
}

// all reads everything and wants each step with its own time.
func all(t *testing.T, r *Reader, s *server) error {
	t.Helper()
	var got backtest.Signal
	err := r.Read(t.Context(), "key", s.read, func(part *backtest.Signal, first int) { Append(&got, part, first) })
	if err != nil {
		return err
	}
	row := got.Pods["a"]
	if row.From != 0 || len(row.Values) != r.Steps {
		t.Fatalf("%d values from step %d, want %d from 0", len(row.Values), row.From, r.Steps)
	}
	for i, v := range row.Values {
		if want := r.Start.Add(time.Duration(i) * r.Step).Unix(); int64(v) != want {
			t.Fatalf("step %d is that of %v, want %v", i, v, want)
		}
	}
	return nil
}

// The range is read in chunks, and the next try asks only for what may have changed.
func TestChunksAreKept(t *testing.T) {
	dir := t.TempDir()
	var first, second server
	r := reader(dir)
	if err := all(t, r, &first); err != nil {
		t.Fatal(err)
	}
	if first.requests != r.Chunks() || first.most > ChunkSteps {
		t.Errorf("%d requests of at most %d steps, want %d of at most %d", first.requests, first.most, r.Chunks(), ChunkSteps)
	}
	later := reader(dir)
	later.Start, later.Now = later.Start.Add(time.Hour), later.Now.Add(time.Hour)
	if err := all(t, later, &second); err != nil {
		t.Fatal(err)
	}
	if second.requests != 1 {
		t.Errorf("%d requests at the next try, want 1: the last chunk", second.requests)
	}
}

// What passes is tried again; what was too much is asked for in halves; anything else ends it, and what was read is kept.
func TestFailures(t *testing.T) {
	unreachable := &metrics.Error{Kind: metrics.ErrUnreachable, Message: "connection refused"}
	tooMany := &metrics.Error{Kind: metrics.ErrRefused, Message: "query processing would load too many samples into memory"}
	refused := &metrics.Error{Kind: metrics.ErrRefused, Message: "parse error"}
	for name, test := range map[string]struct {
		fail     func(request, steps int) error
		want     error
		requests int
	}{
		"passing": {func(n, _ int) error {
			if n == 2 {
				return unreachable
			}
			return nil
		}, nil, 5},
		"too much": {func(_, steps int) error {
			if steps > 400 {
				return tooMany
			}
			return nil
		}, nil, 10},
		"refused": {func(n, _ int) error {
			if n > 1 {
				return refused
			}
			return nil
		}, metrics.ErrRefused, 2},
		"for good": {func(n, _ int) error {
			if n > 1 {
				return unreachable
			}
			return nil
		}, metrics.ErrUnreachable, 1 + attempts},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := server{fail: test.fail}
			if err := all(t, reader(dir), &s); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if s.requests != test.requests {
				t.Errorf("%d requests, want %d", s.requests, test.requests)
			}
			if test.want == nil {
				return
			}
			resumed := server{}
			r := reader(dir)
			if err := all(t, r, &resumed); err != nil || resumed.requests != r.Chunks()-1 {
				t.Errorf("resumed with %d requests (%v), want one less than %d", resumed.requests, err, r.Chunks())
			}
		})
	}
}
