package metrics

import "time"

// Rates and percentiles of pods that are read directly are over the last half minute: long enough for a mean of what comes in
// bursts, and a quarter of what Prometheus needs with its scrapes every 30 s.
const (
	countWindow = 30*time.Second + jitter
	// minSpan is the least time between the ends of a rate: over less, a burst is taken for a load.
	minSpan = 10*time.Second - jitter
	// snapshots are kept of each counter, at least snapshotGap apart: seven gaps are the window.
	snapshots   = 8
	snapshotGap = 5*time.Second - jitter
	// jitter is by how much pages are read earlier or later within their ticks.
	jitter = 500 * time.Millisecond
)

// snapshotRing says when the snapshots of a page's counters were taken. The counters themselves are in series.past.
type snapshotRing struct {
	at   [snapshots]time.Time
	next int
}

// push takes a snapshot, unless the last one is too young.
func (r *snapshotRing) push(asked time.Time, all []series) {
	newest := r.at[(r.next+snapshots-1)%snapshots]
	if !newest.IsZero() && asked.Sub(newest) < snapshotGap {
		return
	}
	for i := range all {
		all[i].past[r.next] = all[i].total
	}
	r.at[r.next] = asked
	r.next = (r.next + 1) % snapshots
}

// base chooses the snapshot that a rate at a time is reckoned from: the oldest within the window. Where pages are read more
// seldom it is the newest before, if it is not older than oldest.
func (r *snapshotRing) base(at time.Time, oldest time.Duration) (slot int, span time.Duration, ok bool) {
	for i := range r.at {
		age := at.Sub(r.at[i])
		if r.at[i].IsZero() || age < minSpan || age > max(oldest, countWindow) {
			continue
		}
		within, best := age <= countWindow, span <= countWindow
		switch {
		case !ok, within && !best, within && age > span, !within && !best && age < span:
			slot, span, ok = i, age, true
		}
	}
	return slot, span, ok
}
