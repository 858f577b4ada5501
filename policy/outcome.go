package policy

// Outcome is a Decision in full, as it is written down: two Decisions with equal Outcomes are the same in all that is ever told of them.
type Outcome struct {
	Current int `json:"current"`
	Summary
	// Stages are recommended, guarded, stabilized, limited and bounded, in this order.
	Stages []NamedStage `json:"stages"`
	Fleet  Fleet        `json:"fleet"`
}

// NamedStage is a Stage with its name.
type NamedStage struct {
	Name string `json:"name"`
	Stage
}

// Outcome renders the decision in full. Times are in UTC.
func (d *Decision) Outcome() Outcome {
	o := Outcome{Current: d.Current, Summary: d.Summary(), Stages: d.Stages(), Fleet: d.Fleet}
	o.Until = o.Until.UTC()
	for i := range o.Stages {
		o.Stages[i].Until = o.Stages[i].Until.UTC()
	}
	return o
}

// Stages returns the stages by name, in their order.
func (d *Decision) Stages() []NamedStage {
	return []NamedStage{
		{"recommended", d.Recommended}, {"guarded", d.Guarded}, {"stabilized", d.Stabilized}, {"limited", d.Limited}, {"bounded", d.Bounded},
	}
}
