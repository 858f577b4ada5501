package controller

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// last is the last sample that was read of a pod. A pod that ceases to be Ready is often not scraped any more, and what overloads it
// would be gone with its sample.
type last struct {
	pod   string
	value float64
	// at is when it was taken, in Unix seconds: at the latest, if that is not known exactly.
	at   uint32
	idle bool
}

// linger fills in the last samples of pods that were Ready and are not, as long as they are young enough, and remembers those of
// now. i numbers the readings. A reading that cannot be trusted changes nothing.
func (o *observer) linger(t *target, i int, now time.Time) {
	reading := &o.read[i]
	if reading.Samples == nil || reading.Problem != "" {
		return
	}
	for len(t.lasts) <= i {
		t.lasts = append(t.lasts, nil)
	}
	o.kept = o.kept[:0]
	indexed := false
	for j, p := range o.found {
		sample := &reading.Samples[j]
		switch {
		case !p.served && p.phase != policy.Ready:
			continue
		case sample.OK:
			o.kept = append(o.kept, lastOf(p.name, sample, now))
			continue
		case !indexed:
			o.index(t.lasts[i])
			indexed = true
		}
		// Scrapes often fail before the kubelet finds that the pod is not Ready. Until then the sample is missing, and kept.
		l, ok := o.lasts[p.name]
		if !ok || now.Sub(unix(int64(l.at))) > t.spec.MaxSampleAge {
			continue
		}
		o.kept = append(o.kept, l)
		if p.phase != policy.Ready {
			*sample = policy.Sample{Value: l.value, OK: true, Idle: l.idle}
		}
	}
	clear(t.lasts[i])
	t.lasts[i] = append(t.lasts[i][:0], o.kept...)
}

// lastOf keeps a sample that was read now.
func lastOf(pod string, sample *policy.Sample, now time.Time) last {
	if !sample.Time.IsZero() {
		now = sample.Time
	}
	return last{pod, sample.Value, uint32(now.Unix()), sample.Idle}
}

// index makes last samples findable by pod.
func (o *observer) index(list []last) {
	if o.lasts == nil {
		o.lasts = map[string]last{}
	}
	clear(o.lasts)
	for _, l := range list {
		o.lasts[l.pod] = l
	}
}
