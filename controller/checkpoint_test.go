package controller

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// zipped compresses a text.
func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

// unzipped is what a body says.
func unzipped(t *testing.T, body []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// randomKept makes a target with as much of everything as can be.
func randomKept(r *rand.Rand, n int) kept {
	at := func() time.Time { return noon.Add(time.Duration(r.Int64N(int64(time.Hour)))) }
	raw := make([]byte, 16)
	for i := range raw {
		raw[i] = byte(r.UintN(256))
	}
	k := kept{&Remembered{Namespace: fmt.Sprintf("team-%d", r.IntN(9)), Name: fmt.Sprintf("model-%d", n), UID: types.UID(hex.EncodeToString(raw)), State: &policy.State{}}, at()}
	for range r.IntN(100) {
		k.State.Past = append(k.State.Past, policy.Recommendation{Replicas: r.IntN(100), Time: at()})
	}
	for range r.IntN(10) {
		k.State.Events = append(k.State.Events, policy.ScaleEvent{Change: r.IntN(9) - 4, Time: at()})
	}
	k.State.Newest = policy.Recommendation{Replicas: r.IntN(100), Time: at()}
	if r.IntN(2) == 0 {
		k.State.BadSince, k.State.GapEnd = at(), at()
		k.Annotations = asks(policy.RunningRequests, "min-replicas", "\"\\\n\u2028<é")
	}
	return k
}

// What is written down is read back, in whatever order it comes.
func TestCheckpointRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		want := map[types.UID]Remembered{}
		var list []kept
		for n := range r.IntN(30) {
			k := randomKept(r, n)
			list = append(list, k)
			want[k.UID] = *k.Remembered
		}
		body, leftOut, why := encodeShard(noon, list)
		if leftOut != 0 || why != nil {
			t.Fatalf("%d left out: %v", leftOut, why)
		}
		m, err := decodeShard(body)
		if err != nil || !m.Time.Equal(noon) {
			t.Fatalf("as of %v: %v", m.Time, err)
		}
		got := map[types.UID]Remembered{}
		for _, r := range m.Targets {
			got[r.UID] = r
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("read\n%+v\nwant\n%+v", got, want)
		}
	}
}

func TestCheckpointRefused(t *testing.T) {
	whole, _, _ := encodeShard(noon, []kept{randomKept(rand.New(rand.NewPCG(3, 4)), 0)})
	const header = `{"version":1,"time":"2000-01-01T00:00:00Z"}` + "\n"
	for name, tt := range map[string]struct {
		body []byte
		want string
	}{
		"nothing":        {nil, "decompressing"},
		"another format": {[]byte(header), "decompressing"},
		"cut off":        {whole[:len(whole)-9], "unexpected EOF"},
		"damaged":        {append(append([]byte{}, whole[:len(whole)-6]...), 1, 2, 3, 4, 5, 6), "checksum"},
		"no header":      {zipped(""), "header"},
		"newer":          {zipped(`{"version":2}`), "version 2 is not known here, only 1 to 1"},
		"foreign":        {zipped(`{"hello":"world"}`), "version 0"},
		"another type":   {zipped(header + `{"uid":"u","state":[]}`), "target 1"},
		"nobody's":       {zipped(header + `{"uid":"u"}` + "\n" + `{"name":"a"}`), "target 2 has no uid"},
		"too many":       {zipped(header + strings.Repeat(`{"uid":"u"}`, maxShardTargets+1)), "more than 65536 targets"},
	} {
		if m, err := decodeShard(tt.body); err == nil || !strings.Contains(err.Error(), tt.want) || m.Targets != nil {
			t.Errorf("%s: %d targets, error %v, want none and %q", name, len(m.Targets), err, tt.want)
		}
	}
	m, err := decodeShard(zipped(`{"version":1,"later":true}` + "\n" + `{"uid":"u","later":{"a":1},"state":{"newest":{"replicas":3}}}`))
	if err != nil || len(m.Targets) != 1 || m.Targets[0].State.Newest.Replicas != 3 {
		t.Errorf("a field of a later release: %+v, %v; want it left out and all else read", m, err)
	}
}

// A shard that gets too large leaves out the targets of a namespace that have not changed for longest.
func TestCheckpointFull(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var list []kept
	for n := range 1500 {
		k := randomKept(r, n)
		k.Namespace, k.changed = "one", noon.Add(time.Duration(n)*time.Second)
		list = append(list, k)
	}
	body, leftOut, why := encodeShard(noon, list)
	if len(body) > maxShardSize || leftOut == 0 || why == nil {
		t.Fatalf("%d bytes, %d left out, %v", len(body), leftOut, why)
	}
	m, err := decodeShard(body)
	if err != nil || len(m.Targets)+leftOut != len(list) || len(m.Targets) < len(list)/3 {
		t.Fatalf("%d targets and %d left out of %d: %v", len(m.Targets), leftOut, len(list), err)
	}
	for i, r := range m.Targets {
		if want := list[len(list)-1-i].UID; r.UID != want {
			t.Fatalf("target %d is %s, want %s", i, r.UID, want)
		}
	}
}

// Whoever has thousands of targets, with annotations as long as they may be that change all the time, crowds out nobody but himself.
func TestCheckpointOfOneNamespaceThatTakesTooMuch(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	noise := func(n int) string {
		raw := make([]byte, n/2)
		for i := range raw {
			raw[i] = byte(r.UintN(256))
		}
		return hex.EncodeToString(raw)
	}
	var list []kept
	for n := range 1000 {
		k := randomKept(r, n)
		k.Namespace, k.changed = "bad", noon.Add(time.Hour)
		k.Annotations = map[string]string{policy.Prefix + "schedule": noise(15 << 10)}
		list = append(list, k)
	}
	good := map[types.UID]bool{}
	for n := range 100 {
		k := randomKept(r, n)
		k.Namespace, k.changed = fmt.Sprint("good-", n%3), noon
		list, good[k.UID] = append(list, k), true
	}
	body, leftOut, _ := encodeShard(noon, list)
	m, err := decodeShard(body)
	if err != nil || leftOut == 0 || len(body) > maxShardSize {
		t.Fatalf("%d bytes, %d left out, %v", len(body), leftOut, err)
	}
	for _, r := range m.Targets {
		delete(good, r.UID)
	}
	if len(good) > 0 {
		t.Errorf("%d of 100 good targets were left out, want only bad ones", len(good))
	}
}

// One target that takes too much is left out, the others are not.
func TestCheckpointOfOneThatTakesTooMuch(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	large, small := randomKept(r, 1), randomKept(r, 2)
	large.Annotations = map[string]string{policy.Prefix + "schedule": strings.Repeat(" ", maxTargetText)}
	body, leftOut, why := encodeShard(noon, []kept{large, small})
	if leftOut != 1 || why == nil || !strings.Contains(why.Error(), large.Namespace+"/"+large.Name) {
		t.Errorf("%d left out, %v; want the large one named", leftOut, why)
	}
	if text := unzipped(t, body); strings.Contains(text, string(large.UID)) || !strings.Contains(text, string(small.UID)) {
		t.Error("the wrong one was left out")
	}
}

func TestSameState(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	base := func() policy.State {
		return policy.State{
			Newest: policy.Recommendation{Replicas: 3, Time: at(50)},
			Past:   []policy.Recommendation{{Replicas: 1, Time: at(10)}, {Replicas: 2, Time: at(20)}},
			Events: []policy.ScaleEvent{{Change: 1, Time: at(20)}},
		}
	}
	for name, tt := range map[string]struct {
		change func(*policy.State)
		same   bool
	}{
		"nothing":              {func(*policy.State) {}, true},
		"the run goes on":      {func(s *policy.State) { s.Newest.Time = at(99) }, true},
		"the oldest left":      {func(s *policy.State) { s.Past = s.Past[1:] }, true},
		"all old left":         {func(s *policy.State) { s.Past, s.Events = nil, nil }, true},
		"another newest":       {func(s *policy.State) { s.Newest.Replicas = 4 }, false},
		"a run ended":          {func(s *policy.State) { s.Past = append(s.Past, policy.Recommendation{Replicas: 3, Time: at(50)}) }, false},
		"one left, one came":   {func(s *policy.State) { s.Past = append(s.Past[1:], policy.Recommendation{Replicas: 3, Time: at(50)}) }, false},
		"another past":         {func(s *policy.State) { s.Past[1].Replicas = 9 }, false},
		"scaled":               {func(s *policy.State) { s.Events = append(s.Events, policy.ScaleEvent{Change: 1, Time: at(50)}) }, false},
		"data went missing":    {func(s *policy.State) { s.BadSince = at(50) }, false},
		"a step has been made": {func(s *policy.State) { s.Fired = make([]policy.Firing, 1) }, false},
	} {
		now := base()
		tt.change(&now)
		old := base()
		if got := sameState(&old, &now, &policy.State{}); got != tt.same {
			t.Errorf("%s: same is %v, want %v", name, got, tt.same)
		}
	}
}

// FuzzCheckpoint reads any bytes, as they are and as the text of a shard: it never panics, what cannot be read is refused whole, what is read
// can be written, and what was written is read back as it was, and not at all if any of it is missing.
func FuzzCheckpoint(f *testing.F) {
	body, _, _ := encodeShard(noon, []kept{randomKept(rand.New(rand.NewPCG(9, 10)), 0)})
	f.Add(body)
	r, _ := gzip.NewReader(bytes.NewReader(body))
	text, _ := io.ReadAll(r)
	f.Add(text)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1}{"uid":"u","state":{"newest":{"replicas":-1,"time":"9999-12-31T23:59:59Z"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = decodeShard(body)
		m, err := decodeShard(zipped(string(body)))
		if err != nil {
			if m.Targets != nil {
				t.Errorf("%d targets with the error %v", len(m.Targets), err)
			}
			return
		}
		var list []kept
		for _, r := range m.Targets {
			state := continued(*r.State, noon)
			r.State = &state
			list = append(list, kept{Remembered: &r})
		}
		again, leftOut, why := encodeShard(m.Time, list)
		back, err := decodeShard(again)
		if err != nil || len(back.Targets)+leftOut != len(list) {
			t.Fatalf("%d of %d targets, %d left out (%v), %v", len(back.Targets), len(list), leftOut, why, err)
		}
		twice, leftOutTwice, _ := encodeShard(back.Time, keptOf(back))
		if thrice, err := decodeShard(twice); err != nil || leftOutTwice != 0 || !sameMemory(thrice, back) {
			t.Fatalf("wrote\n%+v\nand read\n%+v, %v", back, thrice, err)
		}
		if cut, err := decodeShard(again[:len(again)-1-len(body)%len(again)]); err == nil || cut.Targets != nil {
			t.Errorf("%d targets of a part, %v", len(cut.Targets), err)
		}
	})
}

// keptOf makes the targets of a shard.
func keptOf(m Memory) (list []kept) {
	for _, r := range m.Targets {
		list = append(list, kept{Remembered: &r})
	}
	return list
}

// sameMemory compares what two hold, as JSON tells it, in whatever order.
func sameMemory(a, b Memory) bool {
	lines := func(m Memory) []string {
		var list []string
		for i := range m.Targets {
			line, _ := encodeTarget(&m.Targets[i])
			list = append(list, string(line))
		}
		slices.Sort(list)
		return list
	}
	return a.Time.Equal(b.Time) && slices.Equal(lines(a), lines(b))
}
