package policy

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// Many annotations are read as long as they could mean something, and then none of them: nothing is written, and of what is kept of them
// the same is said.
func TestTooManyAnnotations(t *testing.T) {
	base := map[string]string{Prefix + "enabled": "true", Prefix + "max-replicas": "10", Prefix + "target.gpu-utilization": "75", "example.com/x": strings.Repeat("x", 1<<20)}
	with := func(n int, value string) map[string]string {
		a := maps.Clone(base)
		for i := range n {
			a[fmt.Sprintf("%sa-key-that-is-unknown-%d", Prefix, i)] = value
		}
		return a
	}
	for name, tt := range map[string]struct {
		annotations map[string]string
		problems    int
		excess      bool
	}{
		"some":      {with(50, "x"), 50, false},
		"the most":  {with(maxKeys-3, "x"), maxKeys - 3, false},
		"too many":  {with(maxKeys-2, "x"), 1, true},
		"thousands": {with(5000, "x"), 1, true},
		"a long one": {with(1, strings.Repeat("x", maxSize-len(Prefix+"enabled"+"true"+Prefix+"max-replicas"+"10"+Prefix+"target.gpu-utilization"+"75"+
			Prefix+"a-key-that-is-unknown-0"))), 1, false},
		"too long":                       {with(1, strings.Repeat("x", maxSize)), 1, true},
		"the API server's limit, in one": {with(1, strings.Repeat("x", 255<<10)), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse(tt.annotations, Settings{})
			if len(problems) != tt.problems || strings.Contains(problems[0].Message, "cannot be obeyed") != tt.excess {
				t.Fatalf("%d problems, the first is %v, want %d", len(problems), problems[0], tt.problems)
			}
			if tt.excess && problems[0].Key != Prefix+"enabled" {
				t.Errorf("the problem is with %s, want one that stops all writes", problems[0].Key)
			}
			ours, size := Ours(tt.annotations), 0
			for k, v := range ours {
				size += len(k) + len(v)
			}
			if len(ours) > maxKeys+1 || size > 2*maxSize {
				t.Errorf("%d annotations of %d bytes are kept", len(ours), size)
			}
			if _, again := Parse(ours, Settings{}); !tt.excess && !reflect.DeepEqual(again, problems) || again[0].Message != problems[0].Message {
				t.Errorf("of those that are kept it says %v, of all %v", again, problems)
			}
		})
	}
}

// Of many problems the first are told, and how many there are.
func TestFirstProblems(t *testing.T) {
	problems := make(Problems, 30)
	for i := range problems {
		problems[i].Key = fmt.Sprint(i)
	}
	if few := problems.First(30); len(few) != 30 {
		t.Errorf("%d of 30", len(few))
	}
	few := problems.First(20)
	if len(few) != 21 || few[19].Key != "19" || !strings.HasPrefix(few[20].Message, "10 more problems") || problems[20].Key != "20" {
		t.Errorf("%v", few)
	}
}
