package report

import (
	"math"
	"os"
	"strings"
	"testing"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100 … 1
	}
	for _, c := range []struct {
		name   string
		values []float64
		q      float64
		want   float64
	}{
		{"of none", nil, 0.5, math.NaN()},
		{"of one", []float64{7}, 0.99, 7},
		{"the smallest", hundred, 0, 1},
		{"half of an even number", hundred, 0.5, 50},
		{"p90", hundred, 0.9, 90},
		{"p99", hundred, 0.99, 99},
		{"the largest", hundred, 1, 100},
		{"p99 of few is the largest", []float64{3, 1, 2}, 0.99, 3},
		{"half of an odd number", []float64{3, 1, 2}, 0.5, 2},
		{"above it", []float64{3, 1, 2}, 0.7, 3},
	} {
		got := Quantile(c.values, c.q)
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("the caller's values were sorted")
	}
}

// path is the moves that lead through these replicas.
func path(replicas ...int) (moves []Move) {
	for i := 1; i < len(replicas); i++ {
		moves = append(moves, Move{replicas[i-1], replicas[i]})
	}
	return moves
}

func TestReversals(t *testing.T) {
	for _, c := range []struct {
		replicas []int
		want     int
	}{
		{[]int{2}, 0},
		{[]int{2, 3, 4, 6}, 0},
		{[]int{6, 4, 3}, 0},
		{[]int{2, 3, 2}, 1},
		{[]int{2, 3, 2, 3, 4, 2}, 3},
		{[]int{2, 3, 3, 4}, 0},
		{[]int{2, 3, 3, 2}, 1},
	} {
		if got := Reversals(path(c.replicas...)); got != c.want {
			t.Errorf("%v: %d reversals, want %d", c.replicas, got, c.want)
		}
	}
}

func TestWrongMoves(t *testing.T) {
	for _, c := range []struct {
		name             string
		from, to, needed int
		want             bool
	}{
		{"lowered where all are needed", 3, 2, 3, true},
		{"lowered where more are needed", 3, 2, 4, true},
		{"lowered to what is needed", 3, 2, 2, false},
		{"lowered past what is needed", 4, 1, 3, false},
		{"raised where more are needed", 3, 4, 5, false},
		{"raised past what is needed", 3, 5, 4, false},
		{"raised where it is enough", 3, 4, 3, true},
		{"raised where it is too much", 3, 4, 2, true},
		{"not moved", 3, 3, 4, false},
	} {
		if got := (Move{c.from, c.to}).Wrong(c.needed); got != c.want {
			t.Errorf("%s: wrong is %t, want %t", c.name, got, c.want)
		}
	}
}

func TestReplace(t *testing.T) {
	const page = "before\n" + Begin + "\nold\n" + End + "\nafter\n"
	got, err := Replace(page, "\nnew\n")
	if want := "before\n" + Begin + "\n\nnew\n\n" + End + "\nafter\n"; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if again, err := Replace(got, "new"); err != nil || again != got {
		t.Errorf("the second time: %q, %v", again, err)
	}
	for name, c := range map[string]struct{ page, problem string }{
		"no begin": {"a\n" + End + "\n", "no line"},
		"no end":   {Begin + "\n", "no line"},
		"two":      {page + page, "more than one"},
	} {
		if _, err := Replace(c.page, "new"); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.problem)
		}
	}
}

// The page has the place for the tables.
func TestThePageHasItsSection(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Replace(string(page), "new"); err != nil {
		t.Error(err)
	}
}

// measured is what two rounds of one arm, and an idle control plane, might have given.
func measured() Records {
	rs := Records{
		{1, Idle, Rest, Seconds, "", 10},
		{1, Idle, Rest, CPU, ControlPlane, 1},
		{1, Idle, Rest, EtcdWrites, "", 5},
	}
	for round := 1; round <= 2; round++ {
		rs = append(rs,
			Record{round, "a", Rest, Seconds, "", 30},
			Record{round, "a", Rest, CPU, ControlPlane, 6},
			Record{round, "a", Rest, CPU, Scaler, 3},
			Record{round, "a", Rest, CPU, Prometheus, 1.5},
			Record{round, "a", Rest, Resident, Scaler, float64(10*round) * (1 << 20)},
			Record{round, "a", Rest, Resident, Prometheus, 50 * (1 << 20)},
			Record{round, "a", Rest, EtcdWrites, "", 30},
			Record{round, "a", Rest, Requests, "update leases", 15},
			Record{round, "a", Rest, Requests, "watch pods", 1},
			Record{round, "a", Steps, Reaction, "model-000", float64(round)},
			Record{round, "a", Steps, Missed, "model-001", 1},
			Record{round, "a", Outage + "empty", WrongMoves, "model-000", 2},
			Record{round, "a", Outage + "empty", CatchUp, "model-000", 0.25},
		)
	}
	return rs
}

func TestMarkdown(t *testing.T) {
	got := measured().Markdown(80)
	for _, want := range []string{
		"| a | 4 | 1.00 s | 2.00 s | 2.00 s | 2.00 s | 2 |",
		// 32 requests in 60 s; 60 writes a minute, of which an idle one does 30; 100, 50 and 200 ms a second, less 100 of the idle one.
		"| a | 32 | 30 | 100 | 50 (Prometheus) | 100 | 250 | 20 MiB | 50 MiB |",
		"| `update leases` | 30.0 |",
		"| `watch pods` | 2.0 |",
		"| empty | a | 2 | 4 | 0 | 0.25 s | 0.25 s | 0 |",
		"80 Deployments",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "| "+Idle) || strings.Contains(got, "Noise") {
		t.Errorf("it has the idle arm, or a phase that was not measured:\n%s", got)
	}
}

func TestCSVHasALineForEachMeasurement(t *testing.T) {
	var b strings.Builder
	rs := measured()
	if err := rs.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != len(rs)+1 {
		t.Errorf("%d lines, want %d and a header", len(lines), len(rs))
	}
	if want := "1,a,rest,requests,update leases,15"; !strings.Contains(b.String(), want) {
		t.Errorf("there is no line %q in\n%s", want, &b)
	}
}
