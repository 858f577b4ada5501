package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// window is a cron trigger that a schedule can say: between two times of the day, on some days of the week.
type window struct {
	field    string
	text     string // days, times and zone
	replicas int
}

// cron translates the cron triggers into one schedule. KEDA takes the largest of those that are active, and the last listed span
// wins here: so they are listed by size.
func (t *translation) cron(triggers []trigger, maximum int32) {
	var windows []window
	for i := range triggers {
		tr := &triggers[i]
		if tr.Type != "cron" {
			continue
		}
		field := fmt.Sprintf("spec.triggers[%d]", i)
		w, err := readWindow(tr)
		if err != nil {
			t.gap(field, tr.Metadata, "%v", err)
			continue
		}
		w.field = field
		if w.replicas > int(maximum) {
			t.note("%s: %d replicas are more than max-replicas, which bounds them, in KEDA as well as here", field, w.replicas)
			w.replicas = int(maximum)
		}
		windows = append(windows, w)
	}
	minimum, _ := strconv.Atoi(t.Annotations["gpuscaler.io/min-replicas"])
	windows = slices.DeleteFunc(windows, func(w window) bool {
		if w.replicas <= minimum {
			t.note("%s: %d replicas are no more than the minimum of any time, so that it changes nothing", w.field, w.replicas)
		}
		return w.replicas <= minimum
	})
	slices.SortStableFunc(windows, func(a, b window) int { return cmp.Compare(a.replicas, b.replicas) })
	var spans []string
	for _, w := range windows {
		spans = append(spans, fmt.Sprintf("%s min=%d", w.text, w.replicas))
	}
	if len(spans) > 0 {
		t.set("schedule", strings.Join(spans, "; "), windows[0].field)
	}
}

// readWindow reads a cron trigger.
func readWindow(tr *trigger) (window, error) {
	replicas, err := strconv.Atoi(tr.get("desiredReplicas"))
	if err != nil {
		return window{}, fmt.Errorf("desiredReplicas %q is no whole number", tr.get("desiredReplicas"))
	}
	start, err := readCron(tr.get("start"))
	if err != nil {
		return window{}, fmt.Errorf("start %q %w", tr.get("start"), err)
	}
	end, err := readCron(tr.get("end"))
	if err != nil {
		return window{}, fmt.Errorf("end %q %w", tr.get("end"), err)
	}
	days := start.days
	if end.minute <= start.minute { // it crosses midnight
		days = shifted(days)
	}
	if days != end.days || end.minute == start.minute {
		return window{}, fmt.Errorf("a span of a schedule ends within a day after it starts, on each of its days: start %q and end %q are no such span", tr.get("start"), tr.get("end"))
	}
	text := fmt.Sprintf("%s %s-%s %s", start.days, clock(start.minute), clock(end.minute), tr.get("timezone"))
	return window{text: text, replicas: replicas}, nil
}

// weekdays are days of the week, from Sunday on.
type weekdays [7]bool

var dayNames = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// String lists the days from Monday on, as a schedule does.
func (w weekdays) String() string {
	if w == (weekdays{true, true, true, true, true, true, true}) {
		return "Mon-Sun"
	}
	if w == (weekdays{false, true, true, true, true, true, false}) {
		return "Mon-Fri"
	}
	var list []string
	for i := range w {
		if d := (i + 1) % 7; w[d] {
			list = append(list, dayNames[d])
		}
	}
	return strings.Join(list, ",")
}

// shifted returns the days after.
func shifted(w weekdays) weekdays {
	var next weekdays
	for d, on := range w {
		next[(d+1)%7] = on
	}
	return next
}

// moment is a time of the day on some days of the week.
type moment struct {
	minute int
	days   weekdays
}

// readCron reads "0 8 * * 1-5", as far as a schedule can say it.
func readCron(text string) (moment, error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return moment{}, fmt.Errorf("is no cron expression of five fields")
	}
	minute, err1 := strconv.ParseUint(fields[0], 10, 8)
	hour, err2 := strconv.ParseUint(fields[1], 10, 8)
	if err1 != nil || err2 != nil || minute > 59 || hour > 23 {
		return moment{}, fmt.Errorf("is not one time a day")
	}
	if !anyDay(fields[2]) || !anyDay(fields[3]) {
		return moment{}, fmt.Errorf("names days of the month or months: a schedule knows days of the week")
	}
	days, ok := readDays(fields[4])
	if !ok {
		return moment{}, fmt.Errorf("has days of the week that are no list of days and ranges")
	}
	return moment{minute: int(hour)*60 + int(minute), days: days}, nil
}

func anyDay(field string) bool { return field == "*" || field == "?" }

// readDays reads the last field of a cron expression.
func readDays(field string) (weekdays, bool) {
	if anyDay(field) {
		return weekdays{true, true, true, true, true, true, true}, true
	}
	var days weekdays
	for _, part := range strings.Split(field, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, ok1 := dayOf(first)
		to, ok2 := dayOf(last)
		if !ok1 || !ok2 || from > to {
			return days, false
		}
		for d := from; d <= to; d++ {
			days[d%7] = true
		}
	}
	return days, true
}

// dayOf reads a day by its number, where 7 is Sunday too, or its name.
func dayOf(text string) (int, bool) {
	for i, name := range dayNames {
		if strings.EqualFold(name, text) {
			return i, true
		}
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err == nil && n <= 7
}

// clock writes minutes since midnight.
func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
