package browser

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe is where `make browser` puts axe-core, which finds faults of accessibility.
const axe = "../../bin/axe/node_modules/axe-core/axe.min.js"

// accessible wants axe-core to find nothing wrong with the page, by the rules of WCAG 2.2 up to level AA.
func (b *tab) accessible() {
	b.t.Helper()
	text, err := os.ReadFile(axe)
	switch {
	case err != nil && os.Getenv("CI") != "": // .ci/run installs npm: there it must not be left out unseen
		b.t.Fatalf("axe-core is not there: %v", err)
	case err != nil:
		b.t.Skip("axe-core is not there: `make browser` installs it with npm")
	}
	// As the browser's own tools do it: the page's policy would let no script in.
	read(b, chromedp.Evaluate[chromedp.Void](string(text)+";undefined", chromedp.EvalIgnoreExceptions))
	for _, fault := range script[[]string](b, `axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(
		r => r.violations.map(v => v.id + ': ' + v.help + ' in ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 150)).join(' and ')))`) {
		b.t.Error(fault)
	}
}

func TestAccessible(t *testing.T) {
	for name, path := range map[string]string{
		"fleet": "/", "empty": "/?namespace=none", "workload": "/workloads/llm/chat", "invalid": "/workloads/llm/mistyped", "lost": "/nowhere",
	} {
		for _, as := range []look{light, dark, phone} {
			t.Run(name+"/"+as.name, func(t *testing.T) { open(t, origin()+path, as).accessible() })
		}
	}
}
