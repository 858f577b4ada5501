package admission

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gpuscaler/gpuscaler/policy"
)

var flagTries = flag.Int("tries", 2000, "how many Deployments TestEqual sends")

// exception is what the parser refuses and the policy leaves to the controller.
type exception struct {
	name string
	is   func(annotations map[string]string, p policy.Problem) bool
}

var exceptions = []exception{
	{"time zones", func(_ map[string]string, p policy.Problem) bool {
		return strings.Contains(p.Message, "unknown time zone")
	}},
	{"queries of the administrator", func(_ map[string]string, p policy.Problem) bool {
		return strings.HasPrefix(p.Message, "is not a query that the administrator defined")
	}},
	{"bounds over time", func(_ map[string]string, p policy.Problem) bool {
		return p.Key == policy.Prefix+"schedule" && strings.HasPrefix(p.Message, "makes the minimum")
	}},
	{"what is missing, or contradicts, while not switched on", func(a map[string]string, p policy.Problem) bool {
		return !policy.OptedIn(a) && between.MatchString(p.Message)
	}},
	{"signals that no class could define", func(a map[string]string, p policy.Problem) bool {
		_, class := a[policy.Prefix+"class"]
		return class && strings.HasPrefix(p.Message, "is for the unknown signal")
	}},
}

// between finds messages about several keys.
var between = regexp.MustCompile(`^is required|^no signal at all|is above max-replicas|^needs gpuscaler|^is for the unknown signal|^must name a workload signal, which does not`)

// TestEqual sends Deployments with right, slightly wrong and random annotations to the API server, and wants it to refuse what
// the parser refuses, in the same words. It never refuses what the parser would take with any class.
func TestEqual(t *testing.T) {
	tries := *flagTries
	var count counter
	var workers sync.WaitGroup
	const at = 8 // a time
	for worker := range at {
		workers.Go(func() {
			for seed := worker; seed < tries; seed += at {
				annotations := generator{rand.New(rand.NewPCG(uint64(seed), 0))}.annotations()
				if err := compare(t, annotations, &count); err != nil {
					t.Errorf("seed %d: %v\n%q", seed, err, annotations)
				}
			}
		})
	}
	workers.Wait()
	for _, e := range exceptions {
		if count.seen(e.name) == 0 {
			t.Errorf("nothing was left to the controller because of %s: is that exception still needed?", e.name)
		}
	}
	for _, outcome := range []string{"admitted", "refused", classes, otherWords} {
		if n := count.seen(outcome); n < tries/100 {
			t.Errorf("only %d of %d were %s", n, tries, outcome)
		}
	}
	t.Log(count.String())
}

const (
	classes    = "admitted because of a class that only the controller knows"
	otherWords = "refused in other words"
)

// compare asks API server and parser.
func compare(t *testing.T, annotations map[string]string, count *counter) error {
	err := refused(t.Context(), annotations)
	if err != nil && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), denied)) {
		return err
	}
	_, problems := policy.Parse(annotations, generous(annotations))
	told := split(err)
	if err := wanted(annotations, problems, told, count); err != nil {
		return fmt.Errorf("%w\npolicy: %q\nparser:\n%w", err, told, problems)
	}
	_, without := policy.Parse(annotations, policy.Settings{})
	switch {
	case len(told) > 0:
		count.add("refused")
	case len(problems) == 0 && len(without) > 0:
		count.add(classes)
	case len(problems) == 0:
		count.add("admitted")
	}
	return nil
}

// wanted holds what the policy tells against the problems that the parser finds.
func wanted(annotations map[string]string, problems policy.Problems, told []string, count *counter) error {
	refusedKeys := map[string]bool{}
	for _, text := range told {
		key, _, _ := strings.Cut(text, ":")
		key, _, _ = strings.Cut(key, " ")
		refusedKeys[key] = true
		same := func(p policy.Problem) bool { return p.Key == key && sameWords(p, text) }
		switch {
		case slices.ContainsFunc(problems, same):
		case hasOtherWords(key) && slices.ContainsFunc(problems, func(p policy.Problem) bool { return p.Key == key }):
			count.add(otherWords)
		default:
			return fmt.Errorf("the parser does not say %q", text)
		}
	}
	for _, p := range problems {
		if refusedKeys[p.Key] {
			continue
		}
		i := slices.IndexFunc(exceptions, func(e exception) bool { return e.is(annotations, p) })
		if i < 0 {
			return fmt.Errorf("the policy does not refuse %s", p.Key)
		}
		count.add(exceptions[i].name)
	}
	return nil
}

// hasOtherWords tells the keys with lists: the parser tells the first part that is wrong, the policy each of them, and
// it knows no time zones.
func hasOtherWords(key string) bool {
	return strings.HasPrefix(key, policy.Prefix+"steps.") || strings.HasSuffix(key, ".policies") || key == policy.Prefix+"schedule"
}

// sameWords says whether a text is that of the problem. The policy suggests no key in place of an unknown one, and does not show what
// cannot be printed.
func sameWords(p policy.Problem, text string) bool {
	if before, _, ok := strings.Cut(p.Message, ": did you mean"); ok {
		p.Message = before + ": the annotation table in the README lists them all"
	}
	return text == p.Error() || strings.HasPrefix(text, p.Key+": has characters that cannot be shown here")
}

// split returns what the policy tells, a problem each.
func split(err error) []string {
	if err == nil {
		return nil
	}
	_, text, _ := strings.Cut(err.Error(), denied)
	parts := strings.Split(text, "; "+policy.Prefix)
	for i := range parts[1:] {
		parts[i+1] = policy.Prefix + parts[i+1]
	}
	return parts
}

// queries are those that the administrator has named.
var queries = map[string]bool{"anything": true, "gateway-queue": true, "wake": true}

// generous are settings with a class of the Deployment's name that supplies all that could be missing.
func generous(annotations map[string]string) policy.Settings {
	class, ok := annotations[policy.Prefix+"class"]
	if !ok {
		return policy.Settings{Queries: queries}
	}
	keys := map[string]string{
		"max-replicas": "2147483647", "target.queue-depth": "4",
		"idle-after": "10m", "activate-on": "anything > 0", "query.anything": "anything",
	}
	define := func(signal string) {
		if _, builtin := policy.Signal(signal).Info(); !builtin && policy.Signal(signal).IsName() {
			keys["query."+signal] = "anything"
		}
	}
	for k, v := range annotations {
		for _, stem := range []string{"target.", "steps."} {
			if signal, ok := strings.CutPrefix(k, policy.Prefix+stem); ok {
				define(signal)
			}
		}
		if signal, _, ok := strings.Cut(v, ">"); ok && k == policy.Prefix+"activate-on" {
			define(strings.TrimSpace(signal))
		}
	}
	return policy.Settings{Queries: queries, Classes: map[string]map[string]string{class: keys}}
}

// counter counts outcomes.
type counter struct {
	mu    sync.Mutex
	times map[string]int
}

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string]int{}
	}
	c.times[name]++
}

func (c *counter) seen(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[name]
}

func (c *counter) String() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(c.times)) {
		lines = append(lines, fmt.Sprintf("%5d %s", c.times[name], name))
	}
	return "\n" + strings.Join(lines, "\n")
}
