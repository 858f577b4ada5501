package draw

import (
	"strings"

	"github.com/go-analyze/charts"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// Theme says on what ground a chart is drawn.
type Theme int

// The themes.
const (
	Light Theme = iota
	Dark
)

// palette is the colours of a theme. They come from those of Okabe and Ito, which the colour-blind can tell apart; each is
// distinct within a theme, since by them Inline finds the names back.
type palette struct {
	ground, ink, muted, grid, axis charts.Color
	ready, pending                 charts.Color
	desired, replicas, limit       charts.Color
	value, target                  charts.Color
	// data, capacity, limits and others are the families; the tints are laid under the panels.
	data, capacity, limits, others     charts.Color
	dataTint, capacityTint, othersTint charts.Color
	onBand, fourth, fifth              charts.Color
}

var palettes = map[Theme]palette{
	Light: {
		ground: rgb(0xFFFFFF), ink: rgb(0x1F2933), muted: rgb(0x56626E), grid: rgb(0xE4E7EB), axis: rgb(0x9AA5B1),
		ready: rgb(0xBBDAEC), pending: rgb(0xF5D08A),
		desired: rgb(0x0B3C5D), replicas: rgb(0x8A5A83), limit: rgb(0x7B8794),
		value: rgb(0x0072B2), target: rgb(0xC44E00),
		data: rgb(0xD68FB5), capacity: rgb(0xE69F00), limits: rgb(0x9DB9CF), others: rgb(0x3DB58F),
		dataTint: rgb(0xF9EDF3), capacityTint: rgb(0xFDF4E1), othersTint: rgb(0xE6F5F0),
		onBand: rgb(0x10171D), fourth: rgb(0x00805E), fifth: rgb(0xA8497F),
	},
	Dark: {
		ground: rgb(0x12181F), ink: rgb(0xE6EBF0), muted: rgb(0xA3B1BE), grid: rgb(0x27313B), axis: rgb(0x566472),
		ready: rgb(0x23506E), pending: rgb(0x79591D),
		desired: rgb(0xB9E1F7), replicas: rgb(0xD9A3CF), limit: rgb(0x8695A3),
		value: rgb(0x56B4E9), target: rgb(0xF28C4E),
		data: rgb(0xD68FB6), capacity: rgb(0xE69F01), limits: rgb(0x86A6BF), others: rgb(0x3DB590),
		dataTint: rgb(0x2A1F27), capacityTint: rgb(0x292316), othersTint: rgb(0x152822),
		onBand: rgb(0x10171E), fourth: rgb(0x35C39A), fifth: rgb(0xE08FBD),
	},
}

func rgb(hex uint32) charts.Color {
	return charts.Color{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

// named is a colour and the name of its CSS variable.
type named struct {
	name  string
	color charts.Color
}

// named lists the colours.
func (p *palette) named() []named {
	return []named{
		{"ground", p.ground},
		{"ink", p.ink},
		{"muted", p.muted},
		{"grid", p.grid},
		{"axis", p.axis},
		{"ready", p.ready},
		{"pending", p.pending},
		{"desired", p.desired},
		{"replicas", p.replicas},
		{"limit", p.limit},
		{"value", p.value},
		{"target", p.target},
		{"data", p.data},
		{"capacity", p.capacity},
		{"limits", p.limits},
		{"others", p.others},
		{"data-tint", p.dataTint},
		{"capacity-tint", p.capacityTint},
		{"others-tint", p.othersTint},
		{"on-band", p.onBand},
		{"fourth", p.fourth},
		{"fifth", p.fifth},
	}
}

// line is the colour of a line; of runs that are compared, number tells which it is.
func (p *palette) line(role chart.Role, number int) charts.Color {
	switch role {
	case chart.Value:
		return p.value
	case chart.Target:
		return p.target
	case chart.Desired:
		return p.desired
	case chart.Replicas:
		return p.replicas
	case chart.Ready:
		return p.ready
	case chart.Pending:
		return p.pending
	case chart.Run:
		runs := []charts.Color{p.value, p.target, p.fourth, p.fifth, p.capacity, p.muted}
		return runs[number%len(runs)]
	}
	return p.limit
}

// family is the colour of a band; tint is the one laid under the panels, and ok is false where none is.
func (p *palette) family(f chart.Family) (color, tint charts.Color, ok bool) {
	switch f {
	case chart.Data:
		return p.data, p.dataTint, true
	case chart.Capacity:
		return p.capacity, p.capacityTint, true
	case chart.Others:
		return p.others, p.othersTint, true
	}
	return p.limits, p.ground, false
}

// Variables returns the colours of a theme as declarations of CSS variables, for a page with what Inline draws.
func Variables(t Theme) string {
	p := palettes[t]
	var b strings.Builder
	for _, n := range p.named() {
		b.WriteString("--chart-" + n.name + ":" + n.color.StringRGB() + ";")
	}
	return b.String()
}
