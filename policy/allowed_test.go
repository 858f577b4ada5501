package policy

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a row says is allowed is what its reader takes: the words, and the range to its very ends.
func TestAllowedIsWhatIsRead(t *testing.T) {
	forms := map[Kind]func(n int64) string{
		WholeKind:     func(n int64) string { return strconv.FormatInt(n, 10) },
		DurationKind:  func(n int64) string { return time.Duration(n).String() },
		ToleranceKind: func(n int64) string { return strconv.FormatInt(n, 10) },
		TargetKind:    func(n int64) string { return strconv.FormatInt(n, 10) },
		StepsKind:     func(n int64) string { return fmt.Sprintf(">%d:+1", n) },
		PoliciesKind:  func(n int64) string { return "1 pod/" + time.Duration(n).String() },
		ScrapeKind:    func(n int64) string { return fmt.Sprintf("%d/metrics", n) },
	}
	for _, k := range Keys() {
		a := k.Allowed
		read := func(value string) error { return a.read(&Spec{}, "my-signal", value) }
		takes := func(value string) {
			if err := read(value); err != nil {
				t.Errorf("%s: %q is refused: %v", k.Name, value, err)
			}
		}
		refuses := func(value string) {
			if read(value) == nil {
				t.Errorf("%s: %q is taken", k.Name, value)
			}
		}
		for _, word := range a.Words {
			takes(word)
		}
		if len(a.Words) > 0 {
			refuses("another")
		}
		if form := forms[a.Kind]; form != nil {
			takes(form(max(a.Least, 1)))
			refuses(form(a.Least - 1))
			takes(form(a.Most))
			refuses(form(a.Most + 1))
		}
	}
}

// So many parts as a row says may be in a list, and not one more.
func TestAllowedParts(t *testing.T) {
	parts := map[Kind]func(i int) string{
		StepsKind:    func(i int) string { return fmt.Sprintf(">%d:+1", i) },
		PoliciesKind: func(int) string { return "1 pod/1s" },
		ScheduleKind: func(int) string { return "Mon 08:00-20:00 UTC min=1" },
	}
	for _, k := range Keys() {
		part := parts[k.Allowed.Kind]
		if (part != nil) != (k.Allowed.Parts > 0) {
			t.Errorf("%s: is it a list?", k.Name)
		}
		if part == nil {
			continue
		}
		separator := map[bool]string{true: ";", false: ","}[k.Allowed.Kind == ScheduleKind]
		for n, refused := range map[int]bool{k.Allowed.Parts: false, k.Allowed.Parts + 1: true} {
			var list []string
			for i := range n {
				list = append(list, part(i))
			}
			if err := k.Allowed.read(&Spec{}, "my-signal", strings.Join(list, separator)); (err != nil) != refused {
				t.Errorf("%s with %d parts: %v", k.Name, n, err)
			}
		}
	}
}
