package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/version"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

// report is everything that was measured.
type report struct {
	about string
	sizes []*size
}

// size is what was measured with a number of Deployments.
type size struct {
	deployments int
	rest        *rest
	steps       []*step
}

// quantile is the smallest value that at least the share q of them, which are sorted, do not exceed; 0 of none.
func quantile[T cmp.Ordered](sorted []T, q float64) (v T) {
	if len(sorted) == 0 {
		return v
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// sorted sorts what is taken out of some ticks, without zeros.
func sorted(ticks []tick, take func(*tick) time.Duration) []time.Duration {
	var list []time.Duration
	for i := range ticks {
		if v := take(&ticks[i]); v > 0 {
			list = append(list, v)
		}
	}
	slices.Sort(list)
	return list
}

// most is the most memory that was resident after one of some ticks.
func most(ticks []tick) (bytes int64) {
	for i := range ticks {
		bytes = max(bytes, ticks[i].memory)
	}
	return bytes
}

// tell prints the table.
func (r *report) tell(out io.Writer) error {
	_, err := io.WriteString(out, r.markdown())
	return err
}

// row is one line of the table: what it shows, and its text for each size.
type row struct {
	name string
	cell func(*size) string
}

// rows are the lines of the table.
func (r *report) rows() []row {
	rows := []row{
		{"pods", func(s *size) string { return thousands(s.deployments * podsEach) }},
		{"tick: CPU p50 / p99", func(s *size) string { return both(sorted(s.rest.ticks, cpuOf)) }},
		{"tick: wall time p50 / p99", func(s *size) string { return both(sorted(s.rest.told, wallOf)) }},
		{"CPU of a core at that interval", func(s *size) string { return s.rest.core() }},
		{"telling its metrics once: CPU p50", func(s *size) string { return milliseconds(quantile(sorted(s.rest.told, tellOf), 0.5)) }},
		{"memory (RSS) after a tick, most", func(s *size) string { return mebibytes(most(s.rest.ticks)) }},
		{"memory at any time, most", func(s *size) string { return mebibytes(s.rest.peak) }},
		{"the same with its metrics told after each tick", func(s *size) string { return mebibytes(s.rest.toldPeak) }},
		{"memory at the start, most", func(s *size) string { return mebibytes(s.rest.startPeak) }},
		{"start of the process to first decision", func(s *size) string { return seconds(s.firstDecision()) }},
		{"queries to Prometheus per tick", func(s *size) string { return fmt.Sprintf("%.2f", float64(s.rest.queries)/float64(len(s.rest.ticks))) }},
		{"API requests per minute: lease", func(s *size) string { return perMinute(s.rest, s.rest.all()-s.rest.beside()) }},
		{"API requests per minute: all others", func(s *size) string { return perMinute(s.rest, s.rest.beside()) }},
		{"ticks missed, decisions without data", func(s *size) string { return fmt.Sprintf("%d, %s", s.rest.missed, thousands(s.rest.blind)) }},
	}
	if len(r.sizes) == 0 {
		return rows
	}
	for i, one := range r.sizes[0].steps {
		rows = append(rows, row{fmt.Sprintf("step of %d %%: reaction p50 / p99", one.percent), func(s *size) string { return s.steps[i].String() }})
	}
	return rows
}

// String tells the reactions, and what did not react.
func (s *step) String() string {
	if len(s.reactions) == 0 {
		return fmt.Sprintf("none of %s", thousands(s.deployments))
	}
	text := seconds(quantile(s.reactions, 0.5)) + " / " + seconds(quantile(s.reactions, 0.99))
	if n := s.deployments - len(s.reactions); n > 0 {
		text += fmt.Sprintf(", %s not", thousands(n))
	}
	if s.missed+s.blind > 0 {
		text += fmt.Sprintf(" (%d ticks missed, %s decisions without data)", s.missed, thousands(s.blind))
	}
	return text
}

// What is taken out of a tick.
func cpuOf(t *tick) time.Duration  { return t.cpu }
func wallOf(t *tick) time.Duration { return t.wall }
func tellOf(t *tick) time.Duration { return t.tell }

// core is the share of a core that the program takes.
func (r *rest) core() string {
	var sum time.Duration
	for i := range r.ticks {
		sum += r.ticks[i].cpu
	}
	return fmt.Sprintf("%.2f %%", 100*sum.Seconds()/r.lasted.Seconds())
}

// all is how often anything was asked of the API server.
func (r *rest) all() (n int) {
	for _, q := range r.requests {
		n += q.n
	}
	return n
}

// firstDecision is the middle one of all starts.
func (s *size) firstDecision() time.Duration {
	list := []time.Duration{s.rest.first}
	for _, one := range s.steps {
		list = append(list, one.first)
	}
	slices.Sort(list)
	return quantile(list, 0.5)
}

func both(sorted []time.Duration) string {
	return milliseconds(quantile(sorted, 0.5)) + " / " + milliseconds(quantile(sorted, 0.99))
}

func perMinute(r *rest, n int) string { return fmt.Sprintf("%.1f", r.perMinute(n)) }
func seconds(d time.Duration) string  { return fmt.Sprintf("%.2f s", d.Seconds()) }
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

// thousands writes a number with commas.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// markdown is the report as it stands in README.md.
func (r *report) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n\n|", r.about)
	for _, s := range r.sizes {
		fmt.Fprintf(&out, " | %s Deployments", thousands(s.deployments))
	}
	fmt.Fprintf(&out, " |\n|---|%s\n", strings.Repeat("---:|", len(r.sizes)))
	for _, line := range r.rows() {
		fmt.Fprintf(&out, "| %s", line.name)
		for _, s := range r.sizes {
			fmt.Fprintf(&out, " | %s", line.cell(s))
		}
		out.WriteString(" |\n")
	}
	if text := r.growth(); text != "" {
		fmt.Fprintf(&out, "\n%s\n", text)
	}
	return out.String()
}

// growth compares the largest size with 1,000 Deployments, or the smallest above.
func (r *report) growth() string {
	sizes := slices.Clone(r.sizes)
	slices.SortFunc(sizes, func(a, b *size) int { return cmp.Compare(a.deployments, b.deployments) })
	from := slices.IndexFunc(sizes, func(s *size) bool { return s.deployments >= 1000 })
	if from < 0 || from == len(sizes)-1 {
		return ""
	}
	a, b := sizes[from], sizes[len(sizes)-1]
	cpu := func(s *size) float64 { return quantile(sorted(s.rest.ticks, cpuOf), 0.5).Seconds() }
	return fmt.Sprintf("From %s to %s Deployments, %.1f times as many, a tick's CPU time grows %.1f times and the memory after a tick %.1f times.",
		thousands(a.deployments), thousands(b.deployments), float64(b.deployments)/float64(a.deployments),
		cpu(b)/cpu(a), float64(most(b.rest.ticks))/float64(most(a.rest.ticks)))
}

// records are all single numbers, for a CSV file.
func (r *report) records() [][]string {
	list := [][]string{{"deployments", "what", "number", "value", "unit"}}
	for _, s := range r.sizes {
		add := func(what string, i int, value float64, unit string) {
			list = append(list, []string{strconv.Itoa(s.deployments), what, strconv.Itoa(i), strconv.FormatFloat(value, 'g', -1, 64), unit})
		}
		for i, t := range s.rest.ticks {
			add("tick cpu", i, t.cpu.Seconds(), "s")
			add("memory", i, float64(t.memory), "bytes")
		}
		for i, t := range s.rest.told {
			add("tick wall", i, t.wall.Seconds(), "s")
			add("telling metrics cpu", i, t.tell.Seconds(), "s")
			add("memory while telling metrics", i, float64(t.memory), "bytes")
		}
		add("memory peak while telling metrics", 0, float64(s.rest.toldPeak), "bytes")
		add("ticks missed", 0, float64(s.rest.missed), "")
		add("decisions without data", 0, float64(s.rest.blind), "")
		add("memory peak at start", 0, float64(s.rest.startPeak), "bytes")
		add("memory peak at rest", 0, float64(s.rest.peak), "bytes")
		add("first decision", 0, s.rest.first.Seconds(), "s")
		add("rest lasted", 0, s.rest.lasted.Seconds(), "s")
		add("queries", 0, float64(s.rest.queries), "")
		add("prometheus cpu", 0, s.rest.prometheus.Seconds(), "s")
		for _, q := range s.rest.requests {
			add("requests "+q.String(), 0, float64(q.n), "")
		}
		for k, one := range s.steps {
			add("first decision", k+1, one.first.Seconds(), "s")
			add(fmt.Sprintf("step %d%% ticks missed", one.percent), 0, float64(one.missed), "")
			add(fmt.Sprintf("step %d%% decisions without data", one.percent), 0, float64(one.blind), "")
			add(fmt.Sprintf("step %d%% memory peak", one.percent), 0, float64(one.peak), "bytes")
			for i, took := range one.reactions {
				add(fmt.Sprintf("step %d%% reaction", one.percent), i, took.Seconds(), "s")
			}
		}
	}
	return list
}

// write writes the files.
func (o *options) write(r *report) error {
	if o.csvFile != "" {
		if err := writeCSV(o.csvFile, r.records()); err != nil {
			return err
		}
	}
	if o.readmeFile == "" {
		return nil
	}
	text, err := os.ReadFile(o.readmeFile)
	if err != nil {
		return err
	}
	changed, err := between(string(text), beginMark, endMark, r.markdown())
	if err != nil {
		return fmt.Errorf("rewriting %s: %w", o.readmeFile, err)
	}
	return os.WriteFile(o.readmeFile, []byte(changed), 0o644)
}

func writeCSV(path string, records [][]string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	w := csv.NewWriter(file)
	if err := w.WriteAll(records); err != nil {
		return err
	}
	return file.Close()
}

// The marks in README.md between which the report stands.
const (
	beginMark = "<!-- make bench-scale writes what follows -->"
	endMark   = "<!-- until here -->"
)

// between replaces what stands between two marks.
func between(text, begin, end, replacement string) (string, error) {
	head, rest, found := strings.Cut(text, begin)
	_, tail, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		return "", fmt.Errorf("the lines %q and %q are not both there in this order", begin, end)
	}
	return head + begin + "\n" + replacement + end + tail, nil
}

// describe tells the machine and the versions.
func describe(ctx context.Context, o *options) (string, error) {
	out, err := exec.CommandContext(ctx, o.program, "version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", o.program, err)
	}
	own, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s: %s, %d cores, %s. %s, built and run with %s. Kubernetes %s, etcd %s, Prometheus %s. "+
		"At rest a tick each %v and a scrape each %v, %d ticks; at the steps each %v and %v, with more than %s Deployments each %v. Load of the machine before: %s.",
		time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU(), memoryOf(), own, runtime.Version(), bed.Version, version.Version, prom.Version,
		o.interval, o.scrape, o.ticks, o.stepInterval, o.stepScrape, thousands(o.fast), o.interval, strings.Join(strings.Fields(string(load))[:1], " ")), nil
}

// processor is its model.
func processor() string { return procLine("/proc/cpuinfo", "model name") }

// memoryOf is the machine's memory.
func memoryOf() string {
	kb, err := strconv.ParseFloat(strings.TrimSuffix(procLine("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.0f GB", kb*1024/1e9)
}

// procLine is the value of the first line "name: value" of a file in /proc.
func procLine(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
