package compare

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/serving"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// traces are the Azure LLM inference traces of 2023, an hour each (github.com/Azure/AzurePublicDataset, CC-BY). One such service
// needs about one of our replicas, which leaves nothing to scale: copies of each request make it as large as the other loads.
var traces = []struct {
	name, file string
	copies     int
}{
	{"azure-conv", "AzureLLMInferenceTrace_conv.csv", 6},
	{"azure-code", "AzureLLMInferenceTrace_code.csv", 8},
}

// spread is the time after a request over which its copies arrive.
const spread = 10 * time.Second

// recorded reads the traces in a folder; none if there is no such folder.
func recorded(folder string) ([]load, error) {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var loads []load
	for _, t := range traces {
		l, err := readTrace(t.name, filepath.Join(folder, t.file), t.copies)
		if err != nil {
			return nil, err
		}
		loads = append(loads, l)
	}
	return loads, nil
}

// readTrace reads one trace.
func readTrace(name, path string, copies int) (load, error) {
	file, err := os.Open(path)
	if err != nil {
		return load{}, fmt.Errorf("opening the trace %s: %w", name, err)
	}
	defer file.Close()
	requests, err := serving.ParseTrace(file)
	if err != nil {
		return load{}, fmt.Errorf("%s: %w", path, err)
	}
	courses := map[uint64]*simulate.Load{}
	for seed := range uint64(seeds) {
		courses[seed+1] = &simulate.Load{Serving: serving.Config{Server: server, Trace: course(requests, copies, seed+1)}}
	}
	return load{
		name:     name,
		duration: time.Hour,
		rise:     always(20 * time.Minute),
		requests: func(seed uint64) (*simulate.Load, error) {
			l := courses[seed]
			if l == nil {
				return nil, fmt.Errorf("the trace %s has no course for seed %d: give a seed from 1 to %d", name, seed, seeds)
			}
			return l, nil
		},
	}, nil
}

// course is the trace as the seed plays it: from another point on, around its end to that point again, each request with its copies.
func course(trace []serving.Request, copies int, seed uint64) []serving.Request {
	random := rand.New(rand.NewPCG(seed, 0))
	length := trace[len(trace)-1].At + time.Second
	begin := length * time.Duration(seed-1) / seeds
	played := make([]serving.Request, 0, copies*len(trace))
	for _, q := range trace {
		at := (q.At - begin + length) % length
		for k := range copies {
			copied := q
			copied.At = at
			if k > 0 {
				copied.At += time.Duration(random.Int64N(int64(spread)))
			}
			played = append(played, copied)
		}
	}
	slices.SortStableFunc(played, func(a, b serving.Request) int { return cmp.Compare(a.At, b.At) })
	return played
}
