package metrics

import (
	"math"
	"slices"
)

// quantile is the 95th percentile of all engines of a pod over the window. If nothing was counted in it the pod is idle.
func (e evaluation) quantile(w worth, scale float64) (values []worth, present bool) {
	slot, _, ok := e.page.window.base(e.page.asked, e.age)
	var buckets []engineBucket
	w.time = e.page.asked
	e.each(w.signal, w.source, func(s *series, m *mark) {
		present = true
		if s.time().Before(w.time) {
			w.time = s.time()
		}
		if m.role == roleBucket {
			buckets = append(buckets, engineBucket{id: m.id, bucket: bucket{m.le, s.increase(slot)}})
		}
	})
	if !present || !ok {
		return nil, present
	}
	engines := e.parts(w.signal, w.source, func(s *series) float64 { return s.increase(slot) })
	count := 0.0
	for i := range engines {
		count += engines[i].value[roleCount]
	}
	if w.idle = len(engines) > 0 && count == 0; !w.idle {
		w.value = scale * bucketQuantile(0.95, addEngines(buckets))
	}
	return []worth{w}, true
}

// bucket is a cumulative bucket of a histogram: how many were counted up to le.
type bucket struct{ le, count float64 }

type engineBucket struct {
	id string
	bucket
}

// addEngines merges the buckets of one engine by max and adds those of several, sorted by le.
func addEngines(all []engineBucket) []bucket {
	slices.SortFunc(all, func(a, b engineBucket) int {
		switch {
		case a.le != b.le && a.le < b.le:
			return -1
		case a.le != b.le:
			return 1
		case a.id < b.id:
			return -1
		case a.id > b.id:
			return 1
		}
		return 0
	})
	var sums []bucket
	for i, b := range all {
		switch n := len(sums); {
		case n == 0 || sums[n-1].le != b.le:
			sums = append(sums, b.bucket)
		case all[i-1].id == b.id:
			all[i].count = max(all[i-1].count, b.count)
			sums[n-1].count += all[i].count - all[i-1].count
		default:
			sums[n-1].count += b.count
		}
	}
	return sums
}

// bucketQuantile is histogram_quantile() of classic histograms: BucketQuantile in promql/quantile.go of Prometheus. Within a
// bucket it interpolates linearly; the first begins at 0 unless it is for negative values; of the last, +Inf, it returns the
// lower end. Without +Inf, or with nothing counted, it is NaN. Counts that fall from one bucket to the next, as where pages
// are written while requests are counted, are raised to those before.
func bucketQuantile(q float64, buckets []bucket) float64 {
	last := len(buckets) - 1
	if last < 1 || !math.IsInf(buckets[last].le, 1) {
		return math.NaN()
	}
	for i := range buckets {
		if i > 0 {
			buckets[i].count = max(buckets[i].count, buckets[i-1].count)
		}
	}
	if !(buckets[last].count > 0) {
		return math.NaN()
	}
	rank := q * buckets[last].count
	b := 0
	for b < last && buckets[b].count < rank {
		b++
	}
	switch {
	case b == last:
		return buckets[last-1].le
	case b == 0 && buckets[0].le <= 0:
		return buckets[0].le
	case b == 0:
		return buckets[0].le * (rank / buckets[0].count)
	}
	start, end := buckets[b-1], buckets[b]
	return start.le + (end.le-start.le)*((rank-start.count)/(end.count-start.count))
}
