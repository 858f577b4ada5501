package dashboard

import "time"

// page is what all pages have in common.
type page struct {
	Title string
	// Base leads to the first page, relative: the dashboard may be behind a proxy that puts a path before its own.
	Base string
	// Time is when what is shown was decided, nil before the first tick.
	Time *instant
	// Stale tells how old that is, empty if it is as it should be.
	Stale string
}

// staleAfter is how old the last tick is when a page says so: a leader that hangs for so long fails its health check too.
const staleAfter = time.Minute

// newPage makes it.
func newPage(title, base string, ticked, now time.Time) page {
	p := page{Title: title, Base: base, Time: clock(ticked, now)}
	if age := now.Sub(ticked); !ticked.IsZero() && age > staleAfter {
		p.Stale = lasted(age)
	}
	return p
}
