// Package past reads what Prometheus recorded in chunks that a server can answer, tries again what failed, and keeps on disk
// what will not change any more, so that the next try goes on where this one ended.
package past

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
)

// ChunkSteps is how many times of a range are asked for at once. Prometheus answers up to 11,000 per series; with this many a
// namespace with hundreds of pods stays far below the 50 million samples of a query.
const ChunkSteps = 720

const (
	// settled is how long after its time a reading is taken not to change any more: scrapes and remote writes come late.
	settled = 5 * time.Minute
	// leastSteps is below which a chunk is not halved any more.
	leastSteps = 8
	// attempts are made for what may go right the next time.
	attempts = 4
)

// Read reads a range: rows whose steps count from start.
type Read func(ctx context.Context, start, end time.Time, step time.Duration) (backtest.Signal, error)

// Reader reads ranges in chunks.
type Reader struct {
	// Dir is where chunks are kept, empty for nowhere.
	Dir string
	// Server tells one Prometheus from another.
	Server string
	// Start and Steps are the range, one reading each Step.
	Start time.Time
	Step  time.Duration
	Steps int
	// Now is the present.
	Now time.Time
	// Done, if not nil, is told of each chunk.
	Done func()
	// Wait waits before another attempt.
	Wait func(ctx context.Context, d time.Duration) error
}

// chunk is a part of the range that begins at a multiple of its length, so that it is the same one at the next try.
type chunk struct {
	start time.Time
	first int // of the range's steps; negative where the chunk begins before the range
	steps int
}

// chunks cuts the range.
func (r *Reader) chunks() []chunk {
	length := ChunkSteps * r.Step
	var list []chunk
	for start := r.Start.Add(-time.Duration(r.Start.UnixNano() % int64(length))); ; start = start.Add(length) {
		first := int(start.Sub(r.Start) / r.Step)
		if first >= r.Steps {
			return list
		}
		list = append(list, chunk{start, first, min(ChunkSteps, r.Steps-first)})
	}
}

// Chunks is how many parts each reading has.
func (r *Reader) Chunks() int { return len(r.chunks()) }

// Read reads a range and hands over every row in parts, in order of time. key tells what is read from all else that is.
func (r *Reader) Read(ctx context.Context, key string, read Read, add func(part *backtest.Signal, first int)) error {
	for _, c := range r.chunks() {
		part, err := r.chunk(ctx, key, c, read)
		if err != nil {
			return fmt.Errorf("%w\nwhat was read before is kept: the same command goes on from there", err)
		}
		add(&part, c.first)
		if r.Done != nil {
			r.Done()
		}
	}
	return nil
}

// chunk takes a chunk from the disk or else from the server.
func (r *Reader) chunk(ctx context.Context, key string, c chunk, read Read) (backtest.Signal, error) {
	path := r.path(key, c)
	if part, ok := load(path); ok {
		return part, nil
	}
	part, err := r.fetch(ctx, c.start, c.steps, read)
	if err == nil && c.start.Add(time.Duration(c.steps)*r.Step).Before(r.Now.Add(-settled)) {
		keep(path, &part)
	}
	return part, err
}

// fetch asks the server, for half as much at a time where it was too much.
func (r *Reader) fetch(ctx context.Context, start time.Time, steps int, read Read) (backtest.Signal, error) {
	end := start.Add(time.Duration(steps-1) * r.Step)
	part, err := r.insist(ctx, start, end, read)
	if err == nil || !tooMuch(err) || steps < 2*leastSteps || ctx.Err() != nil {
		return part, err
	}
	half := steps / 2
	part, err = r.fetch(ctx, start, half, read)
	if err != nil {
		return part, err
	}
	rest, err := r.fetch(ctx, start.Add(time.Duration(half)*r.Step), steps-half, read)
	Append(&part, &rest, half)
	return part, err
}

// insist asks again after a while where that may help.
func (r *Reader) insist(ctx context.Context, start, end time.Time, read Read) (part backtest.Signal, err error) {
	pause := time.Second
	for i := range attempts {
		if part, err = read(ctx, start, end, r.Step); err == nil || !passing(err) || tooMuch(err) || i == attempts-1 {
			return part, err
		}
		if err := r.Wait(ctx, pause); err != nil {
			return part, err
		}
		pause *= 2
	}
	return part, err
}

// passing reports whether an error may be gone the next time.
func passing(err error) bool {
	return errors.Is(err, metrics.ErrUnreachable) || errors.Is(err, metrics.ErrUnavailable)
}

// tooMuch reports whether less at a time may be answered: it took too long, or there was too much of it.
func tooMuch(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var said *metrics.Error
	if !errors.As(err, &said) {
		return false
	}
	for _, words := range []string{"too many samples", "exceeded maximum", "timed out", "more than "} {
		if strings.Contains(said.Message, words) {
			return true
		}
	}
	return false
}

// Append adds the rows of a later part to those of an earlier one. The later one's steps count from first.
func Append(to, part *backtest.Signal, first int) {
	for pod, row := range part.Pods {
		for i, v := range row.Values {
			if step := first + row.From + i; step >= 0 {
				to.Add(pod, step, v)
			}
		}
	}
	if part.Workload == nil {
		return
	}
	for i, v := range part.Workload.Values {
		if step := first + part.Workload.From + i; step >= 0 {
			to.AddWorkload(step, v)
		}
	}
}
